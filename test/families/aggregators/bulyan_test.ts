/** Bulyan beside a plain computation from the paper. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { combined } from "./support/combine_list.ts";

/** θ times Krum's choice, then for each element the mean of the θ − 2f values nearest to the median. */
function paper(vectors: readonly (readonly number[])[], f: number): { values: number[]; used: number[] } {
  const left = [...vectors.keys()], used: number[] = [];
  const distance = (a: number, b: number) =>
    (vectors[a] ?? []).reduce((sum, x, n) => sum + (x - (vectors[b]?.[n] as number)) ** 2, 0);
  for (let n = vectors.length - 2 * f; n > 0; n--) {
    const scores = left.map((a) =>
      left.filter((b) => b !== a).map((b) => distance(a, b)).sort((x, y) => x - y)
        .slice(0, Math.max(1, left.length - f - 2)).reduce((sum, x) => sum + x, 0)
    );
    used.push(...left.splice(scores.indexOf(Math.min(...scores)), 1));
  }
  used.sort((a, b) => a - b);
  const values = (vectors[0] ?? []).map((_, at) => {
    const rising = used.map((place) => vectors[place]?.[at] as number).sort((a, b) => a - b);
    const half = rising.length / 2;
    const median = ((rising[Math.ceil(half) - 1] as number) + (rising[Math.floor(half)] as number)) / 2;
    const nearest = rising.toSorted((a, b) => Math.abs(a - median) - Math.abs(b - median) || a - b)
      .slice(0, rising.length - 2 * f);
    return nearest.reduce((sum, x) => sum + x, 0) / nearest.length;
  });
  return { values, used };
}

Deno.test("Bulyan is the paper's", () => {
  const element = fc.integer({ min: -1000, max: 1000 }).map((n) => n / 8);
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 }).chain((f) =>
        fc.record({
          f: fc.constant(f),
          vectors: fc.array(fc.array(element, { minLength: 5, maxLength: 5 }), {
            minLength: 4 * f + 3,
            maxLength: 4 * f + 6,
          }),
        })
      ),
      ({ f, vectors }) => {
        const contributions = vectors.map((values) => [Float32Array.from(values)]);
        const { values: [found], used } = combined("Bulyan", { byzantine: f }, { contributions });
        const wanted = paper(vectors, f);
        assert.deepEqual(used, wanted.used);
        wanted.values.forEach((x, n) =>
          assert.ok(Math.abs(x - (found?.[n] as number)) < 1e-4, `${found} ${x}`)
        );
      },
    ),
    { numRuns: 100 },
  );
});

Deno.test("f hostile contributions of 4f + 3 move no element beyond the honest ones", () => {
  const honest = [1, 2, 3, 4, 5].map((x) => [Float32Array.of(x, -x)]);
  for (const hostile of [1e30, -1e30, NaN, Infinity, 7]) {
    const contributions = [[Float32Array.of(3, hostile)], ...honest, [Float32Array.of(2, -2)]];
    const { values: [found] } = combined("Bulyan", { byzantine: 1 }, { contributions });
    assert.ok((found?.[1] as number) <= -1 && (found?.[1] as number) >= -5, `${hostile}: ${found}`);
  }
});
