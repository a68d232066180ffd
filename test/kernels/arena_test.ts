/** Tests of the allocator against a list of regions: disjoint, aligned, reused, merged, and no byte is lost. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena, ARENA_BYTES_MAX } from "../../kernels/arena.ts";
import { Program } from "../../kernels/compiler/compile.ts";

const PAGE = 65536;
const rounded = (bytes: number) => Math.ceil(Math.max(bytes, 1) / 64) * 64;

interface Region {
  readonly offset: number;
  readonly bytes: number;
  readonly mark: number;
}

/** Checks what must hold after any sequence of allocations and releases. */
function check(arena: Arena, regions: readonly Region[]): void {
  const used = regions.reduce((sum, { bytes }) => sum + rounded(bytes), 0);
  assert.equal(arena.bytesUsed, used, "bytesUsed");
  assert.ok(arena.u8(0, 64).every((byte) => byte === 0), "the first 64 bytes are zero");
  let end = 64;
  for (const { offset, bytes, mark } of regions.toSorted((a, b) => a.offset - b.offset)) {
    assert.equal(offset % 64, 0, "aligned");
    assert.ok(offset >= end, `region at ${offset} begins behind ${end}`);
    end = offset + rounded(bytes);
    assert.ok(end <= arena.bytesReserved, "inside the memory");
    assert.ok(arena.u8(offset, bytes).every((byte) => byte === mark), `content of ${offset} is kept`);
  }
}

Deno.test("Arena keeps regions apart, aligned and intact in any order of allocate() and release()", () => {
  const size = fc.oneof(fc.nat(200), fc.nat(5000), fc.constantFrom(0, 63, 64, 65, PAGE, 3 * PAGE));
  const step = fc.oneof({ weight: 3, arbitrary: size.map((bytes) => ({ bytes })) }, {
    weight: 2,
    arbitrary: fc.nat().map((pick) => ({ pick })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const arena = new Arena({ bytesMax: 64 * PAGE });
      const regions: Region[] = [];
      steps.forEach((step, index) => {
        if ("bytes" in step) {
          const mark = index % 255 + 1, growth = arena.growth(step.bytes), before = arena.bytesReserved;
          const offset = arena.allocate(step.bytes);
          assert.equal(arena.bytesReserved - before, growth, "growth() predicts the growth");
          arena.u8(offset, step.bytes).fill(mark);
          regions.push({ offset, bytes: step.bytes, mark });
        } else if (regions.length > 0) {
          const [region] = regions.splice(step.pick % regions.length, 1);
          arena.release(region?.offset as number);
        }
        check(arena, regions);
      });
      // All gaps merge: the space of all regions can be allocated again as one region, from the start.
      const total = regions.reduce((sum, { bytes }) => sum + rounded(bytes), 0);
      regions.forEach(({ offset }) => arena.release(offset));
      assert.equal(arena.bytesUsed, 0);
      assert.equal(arena.growth(total), 0);
      assert.equal(arena.allocate(total), 64);
    }),
    { numRuns: 80 },
  );
});

Deno.test("Arena.release() joins a gap with both neighbours", () => {
  const arena = new Arena({ bytesMax: PAGE });
  const [a, b, c, d] = [100, 100, 100, 100].map((bytes) => arena.allocate(bytes)) as [
    number,
    number,
    number,
    number,
  ];
  for (const order of [[a, b, c], [c, b, a], [a, c, b], [b, a, c], [b, c, a], [c, a, b]]) {
    order.forEach((offset) => arena.release(offset));
    // One gap of 3 × 128 bytes before d, where three regions were.
    assert.equal(arena.allocate(384), a);
    arena.release(a);
    assert.deepEqual([100, 100, 100].map((bytes) => arena.allocate(bytes)), [a, b, c]);
  }
  assert.equal(arena.allocate(64), d + 128);
});

Deno.test("Arena.allocate() takes the first gap that is large enough", () => {
  const arena = new Arena({ bytesMax: PAGE });
  const [small, , large, , end] = [64, 64, 256, 64, 64].map((bytes) => arena.allocate(bytes)) as number[];
  arena.release(small as number);
  arena.release(large as number);
  assert.equal(arena.allocate(65), large);
  assert.equal(arena.allocate(128), (large as number) + 128);
  assert.equal(arena.allocate(1), small);
  assert.equal(arena.allocate(64), (end as number) + 64);
});

Deno.test("Arena.allocate() grows without losing content and gives fresh views", () => {
  const arena = new Arena({ bytesMax: 20 * PAGE });
  const first = arena.allocate(16);
  arena.f32(first, 4).set([1, 2, 3, 4]);
  const stale = arena.f32(first, 4);
  const large = arena.allocate(10 * PAGE);
  assert.equal(stale.length, 0, "a view does not outlive a growth");
  assert.deepEqual([...arena.f32(first, 4)], [1, 2, 3, 4]);
  assert.equal(arena.u8(large, 10 * PAGE).length, 10 * PAGE);
  assert.ok(arena.bytesReserved <= 20 * PAGE);
});

Deno.test("Arena.allocate() throws RangeError with the figures when it is full, and changes nothing", () => {
  const arena = new Arena({ bytesMax: 2 * PAGE });
  const offset = arena.allocate(PAGE);
  const reserved = arena.bytesReserved;
  assert.throws(() => arena.allocate(PAGE), {
    name: "RangeError",
    message: `Cannot allocate ${PAGE} bytes: ${PAGE} of ${2 * PAGE} are in use`,
  });
  assert.deepEqual([arena.bytesUsed, arena.bytesReserved], [PAGE, reserved]);
  // Everything but the first 64 bytes can be allocated, to the last byte.
  assert.equal(arena.allocate(PAGE - 64), offset + PAGE);
  assert.equal(arena.bytesReserved, 2 * PAGE);
  assert.throws(() => arena.allocate(1), RangeError);
});

Deno.test("Arena accepts a bound that is not a whole number of pages", () => {
  const arena = new Arena({ bytesMax: PAGE + 1000 });
  assert.throws(() => arena.allocate(PAGE + 1000), RangeError);
  arena.allocate(PAGE);
  assert.throws(() => arena.allocate(960), RangeError);
  assert.equal(new Arena({ bytesMax: 2 ** 40 }).bytesMax, ARENA_BYTES_MAX);
});

Deno.test("Arena.release() refuses offsets where no region starts", () => {
  const arena = new Arena({ bytesMax: PAGE });
  const offset = arena.allocate(128);
  for (const wrong of [0, 1, offset + 64, offset + 128, -64, NaN]) {
    assert.throws(() => arena.release(wrong), {
      name: "RangeError",
      message: `Cannot release offset ${wrong}: no region starts there`,
    });
  }
  arena.release(offset);
  assert.throws(() => arena.release(offset), RangeError);
  assert.equal(arena.bytesUsed, 0);
});

Deno.test("Arena.release() stays fast with many gaps", () => {
  const arena = new Arena({ bytesMax: 64 * 1024 ** 2 });
  const offsets = Array.from({ length: 40_000 }, () => arena.allocate(64));
  const [odd, even] = [1, 0].map((rest) => offsets.filter((_, index) => index % 2 === rest));
  odd?.forEach((offset) => arena.release(offset));
  even?.forEach((offset) => arena.release(offset));
  // A linear search of the gaps for each release takes about 20 s here.
  assert.equal(arena.bytesUsed, 0);
});

Deno.test("Arena.kernel() instantiates a module once per arena", () => {
  const module = new Program(["w = w + 1"], { tensors: ["w"], stored: ["w"], uniforms: [] }).kernel().module(
    0,
  );
  const arena = new Arena({ bytesMax: PAGE }), other = new Arena({ bytesMax: PAGE });
  assert.equal(arena.kernel(module), arena.kernel(module));
  assert.notEqual(arena.kernel(module), other.kernel(module));
});
