/** Tests of distinct indices in order of first occurrence, against a Map. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Arena } from "../../../kernels/arena.ts";
import { findUnique, tableBytes } from "../../../kernels/routines/dedupe.ts";
import { random } from "../support/special.ts";

const GUARD = 0x5ca1ab1e;

function oracle(indices: readonly number[]): { ordinals: number[]; unique: number[] } {
  const places = new Map<number, number>();
  const ordinals = indices.map((index) => {
    if (!places.has(index)) places.set(index, places.size);
    return places.get(index) as number;
  });
  return { ordinals, unique: [...places.keys()] };
}

/** Runs the kernel with garbage in every region and a guard word after each; returns its table too. */
function find(indices: readonly number[]): { ordinals: number[]; unique: number[]; table: Int32Array } {
  const count = indices.length;
  const arena = new Arena({ bytesMax: 64 * 1024 ** 2 });
  const sizes = [count, tableBytes(count) / 4, count, count];
  const offsets = sizes.map((words) => {
    const offset = arena.allocate(4 * words + 4);
    arena.i32(offset, words + 1).fill(GUARD);
    return offset;
  });
  const [list, table, ordinals, found] = offsets as [number, number, number, number];
  arena.i32(list, count).set(indices);
  const distinct = findUnique(arena, { indices: list, count, table, ordinals, unique: found });
  offsets.forEach((offset, index) => {
    const words = sizes[index] as number;
    assert.equal(arena.i32(offset + 4 * words, 1)[0], GUARD, `guard word after region ${index}`);
  });
  assert.ok(arena.u8(0, 64).every((byte) => byte === 0));
  assert.deepEqual([...arena.i32(list, count)], indices, "the indices stay");
  return {
    ordinals: [...arena.i32(ordinals, count)],
    unique: [...arena.i32(found, distinct)],
    table: arena.i32(table, tableBytes(count) / 4).slice(),
  };
}

function unique(indices: readonly number[]): { ordinals: number[]; unique: number[] } {
  const { ordinals, unique } = find(indices);
  return { ordinals, unique };
}

/** A row's place in the table comes from the upper bits of this (Knuth's multiplicative hash). */
const hash = (row: number) => Math.imul(row, 0x9e3779b1) >>> 0;

/** The `count` rows below `rows` that hash to the first slots of the table. */
function colliding(count: number, rows: number): number[] {
  const sorted = Array.from({ length: rows }, (_, row) => row).sort((a, b) => hash(a) - hash(b));
  return sorted.slice(0, count);
}

Deno.test("findUnique() returns the example of its head comment", () => {
  assert.deepEqual(unique([5, 0, 5, 9]), { ordinals: [0, 1, 0, 2], unique: [5, 0, 9] });
});

Deno.test("findUnique() equals the Map on any list of rows", () => {
  const most = 2 ** 31 - 1;
  const row = fc.oneof(fc.nat(5), fc.nat(1000), fc.nat(most), fc.constantFrom(0, most, 2 ** 30, 65536));
  fc.assert(
    fc.property(fc.array(row, { maxLength: 200 }), (indices) => {
      assert.deepEqual(unique(indices), oracle(indices));
    }),
    { numRuns: 200 },
  );
});

Deno.test("findUnique() equals the Map where tables are smallest, fullest and largest", () => {
  const next = random(7);
  const lists: Record<string, number[]> = {
    none: [],
    one: [3],
    "all equal": Array(5000).fill(12345),
    "all distinct, just past a power of two": Array.from({ length: 4097 }, (_, n) => 4096 - n),
    "all distinct, a power of two": Array.from({ length: 4096 }, (_, n) => 64 * n),
    "every row twice, far apart": Array.from({ length: 6000 }, (_, n) => 4096 * (n % 3000)),
    "100,000 of 1,000,000": Array.from({ length: 100_000 }, () => Math.floor(next() * 1e6)),
    "colliding": colliding(2000, 200_000),
  };
  for (const [name, indices] of Object.entries(lists)) {
    assert.deepEqual(unique(indices), oracle(indices), name);
  }
});

/** The number of table entries that are compared until a row is found, at most 1000. */
function probes(row: number, ordinal: number, table: Int32Array): number {
  const bits = Math.log2(table.length);
  const step = ((hash(row) << bits) >>> (32 - bits)) | 1;
  let at = hash(row) >>> (32 - bits), count = 1;
  for (; table[at] !== 1 + ordinal && count < 1000; count += 1) at = (at + step) % table.length;
  return count;
}

Deno.test("findUnique() needs few probes for rows chosen to collide", () => {
  const indices = colliding(30_000, 500_000);
  const { table, unique } = find(indices);
  const sum = unique.reduce((sum, row, ordinal) => sum + probes(row, ordinal, table), 0);
  // Linear probing needs thousands per row.
  assert.ok(sum < 5 * indices.length, `${sum} probes for ${indices.length} rows`);
});

Deno.test("tableBytes() leaves at least half of the table empty", () => {
  for (const count of [0, 1, 7, 8, 9, 1000, 4096, 4097, 1_000_000]) {
    const entries = tableBytes(count) / 4;
    assert.ok(entries >= 2 * count && entries >= 16 && Number.isInteger(Math.log2(entries)), `${count}`);
    assert.ok(entries <= Math.max(16, 4 * count), `${count} rows need no ${entries} entries`);
  }
});
