import assert from "node:assert/strict";
import fc from "fast-check";
import { FilePool } from "../../src/store/file_pool.ts";
import { filesOf } from "../../src/store/files.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

async function inFolder(act: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("FilePool keeps a few files open and loses no byte of the others", async () => {
  const writes = fc.array(
    fc.record({ file: fc.nat({ max: 9 }), value: fc.nat({ max: 255 }), flush: fc.boolean() }),
  );
  await fc.assert(
    fc.asyncProperty(writes, fc.integer({ min: 1, max: 5 }), async (writes, openMax) => {
      await inFolder(async (folder) => {
        const pool = new FilePool({ openMax });
        const files = filesOf(pool);
        const all = Array.from(
          { length: 10 },
          (_, n) => ({ file: files.create(`${folder}/${n}`), want: [] as number[] }),
        );
        assert(pool.size <= openMax);
        for (const { file, value, flush } of writes) {
          const one = all[file] as (typeof all)[number];
          one.file.append([bytes(value)]);
          one.want.push(value);
          if (flush) await one.file.sync();
        }
        for (const { file } of all) file.syncNow();
        assert(pool.size <= 10);
        for (const { file } of all) file.release();
        assert.equal(pool.size, 0);
        for (const [n, { want }] of all.entries()) {
          assert.deepEqual([...await Deno.readFile(`${folder}/${n}`)], want);
        }
      });
    }),
    { numRuns: 30 },
  );
});

Deno.test("FilePool closes no file with unflushed bytes", async () => {
  await inFolder(async (folder) => {
    const pool = new FilePool({ openMax: 1 });
    const files = filesOf(pool);
    using first = files.create(`${folder}/first`);
    first.append([bytes(1)]);
    using _second = files.create(`${folder}/second`);
    assert.equal(pool.size, 2);
    await first.sync();
    using _third = files.create(`${folder}/third`);
    assert.equal(pool.size, 1);
  });
});

Deno.test("FilePool refuses a file that was removed or replaced while it was closed", async () => {
  await inFolder(async (folder) => {
    const pool = new FilePool({ openMax: 1 });
    const files = filesOf(pool);
    for (const replace of [false, true]) {
      const path = `${folder}/journal-${replace}`;
      using file = files.create(path);
      file.append([bytes(1, 2)]);
      await file.sync();
      using _other = files.create(`${folder}/other-${replace}`);
      await Deno.rename(path, `${path}-before`);
      if (replace) await Deno.writeFile(path, bytes(3, 4));
      assert.throws(() => file.append([bytes(5)]));
      if (replace) assert.deepEqual([...await Deno.readFile(path)], [3, 4]);
    }
  });
});

Deno.test("FilePool closes files, then asks for descriptors, when a file cannot be opened", async () => {
  await inFolder((folder) => {
    let given = 0;
    const pool = new FilePool({ giveWay: () => given++ === 0 });
    const files = filesOf(pool);
    using _file = files.create(`${folder}/file`);
    const sizes: number[] = [];
    assert.throws(() =>
      pool.opened(() => {
        sizes.push(pool.size);
        throw new Error("Too many open files (os error 24)");
      }), /os error 24/);
    assert.deepEqual([sizes, given], [[1, 0, 0], 2]);
  });
});
