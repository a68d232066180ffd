/** The local files of the store. The error of a full disk comes from a real device. */
import assert from "node:assert/strict";
import { AppendFile, localFiles as files } from "../../src/store/files.ts";
import { storageError } from "../../src/store/storage_error.ts";

async function withFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await act(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const bytes = (...values: number[]) => Uint8Array.from(values);

Deno.test("localFiles.create() makes a file that grows, and refuses an existing one", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/journal`;
    const file = files.create(path);
    assert.throws(() => files.create(path), Deno.errors.AlreadyExists);
    const large = new Uint8Array(200_000).fill(7);
    file.append([bytes(1, 2), bytes(), large, bytes(3)]);
    file.append([]);
    await file.sync();
    file.append([large.subarray(0, 70_000), large.subarray(0, 65_536), bytes(4)]);
    file.syncNow();
    file.release();
    const wanted = [bytes(1, 2), large, bytes(3), large.subarray(0, 135_536), bytes(4)];
    assert.equal(file.bytes, 335_540);
    const found = await Deno.readFile(path);
    assert.equal(found.length, file.bytes);
    let at = 0;
    for (const piece of wanted) {
      assert.deepEqual(found.subarray(at, at += piece.length), piece);
    }
  });
});

Deno.test("localFiles.resume() continues at a given place, never beyond the end", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/journal`;
    await Deno.writeFile(path, bytes(1, 2, 3, 4, 5));
    const file = files.resume(path, 3);
    file.append([bytes(9)]);
    file.release();
    assert.deepEqual(await Deno.readFile(path), bytes(1, 2, 3, 9));
    assert.throws(() => files.resume(path, 5), { message: "The file has 4 bytes, must have 5" });
    assert.throws(() => files.resume(`${path}x`, 0), Deno.errors.NotFound);
  });
});

Deno.test("localFiles.read() gives a file in pieces, with a shorter last one", async () => {
  await withFolder(async (folder) => {
    await Deno.writeFile(`${folder}/file`, bytes(1, 2, 3, 4, 5));
    const reader = files.read(`${folder}/file`);
    assert.equal(reader.bytes, 5);
    assert.deepEqual([2, 2, 2, 2].map((count) => [...reader.next(count)]), [[1, 2], [3, 4], [5], []]);
    reader.seek(1);
    assert.deepEqual([...reader.next(3)], [2, 3, 4]);
    reader.seek(0);
    const [first, second] = [await reader.nextLater(2), await reader.nextLater(9)];
    assert.deepEqual([[...first], [...second]], [[1, 2], [3, 4, 5]]);
    reader.release();
  });
});

Deno.test("localFiles renames, lists, flushes and removes", async () => {
  await withFolder(async (folder) => {
    await files.makeFolder(`${folder}/a/b`);
    await files.makeFolder(`${folder}/a/b`);
    files.create(`${folder}/a/one`).release();
    await files.rename(`${folder}/a/one`, `${folder}/a/two`);
    await files.sync(`${folder}/a/two`);
    await files.sync(`${folder}/a`);
    assert.deepEqual(files.list(`${folder}/a`).sort(), ["b", "two"]);
    await files.remove(`${folder}/a/two`);
    await assert.rejects(files.remove(`${folder}/a/two`), Deno.errors.NotFound);
    await files.removeFolder(`${folder}/a`);
    assert.deepEqual(files.list(folder), []);
  });
});

Deno.test({
  name: "a full disk is storage_full, other trouble storage_failed, and a refusal stays what it is",
  ignore: Deno.build.os !== "linux",
  fn() {
    // A device that is always full and cannot be truncated.
    const file = new AppendFile(Deno.openSync("/dev/full", { write: true }), 0);
    let full: unknown;
    assert.throws(() => file.append([bytes(1)]), (error) => (full = error) !== undefined);
    assert.ok(file.broken);
    file.release();
    assert.equal(storageError(full).code, "storage_full");
    assert.equal(storageError(new Deno.errors.NotFound("gone")).code, "storage_failed");
    const refusal = storageError(full);
    assert.equal(storageError(refusal), refusal);
  },
});
