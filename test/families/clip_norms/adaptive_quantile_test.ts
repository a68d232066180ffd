/** Tests of AdaptiveQuantile against float32 arithmetic in numpy (make.py), and of what its source states. */
import assert from "node:assert/strict";
import { clipNorms } from "../../../src/families/clip_norms/mod.ts";
import { FLOAT32_MAX, FLOAT32_NORMAL_MIN } from "../../../src/float32.ts";
import { random } from "../../kernels/support/special.ts";
import golden from "./bounds.json" with { type: "json" };

type Config = Record<string, unknown>;

function start(config: Config) {
  const part = clipNorms.resolve({ class_name: "AdaptiveQuantile", config });
  let norm = part.member.initial(part.config), iteration = 0;
  return {
    get norm() {
      return norm;
    },
    step(norms: readonly number[]) {
      const within = norms.filter((each) => each <= norm).length;
      norm = part.member.next(part.config, { norm, count: norms.length, within, iteration: iteration++ });
      return norm;
    },
  };
}

Deno.test("bounds without noise have the bits of numpy's float32 arithmetic", () => {
  let steps = 0;
  for (const { config, norms, bounds } of golden.cases) {
    const bound = start(config);
    assert.equal(bound.norm, bounds[0]);
    norms.forEach((step, n) =>
      assert.equal(bound.step(step), bounds[n + 1], `${JSON.stringify(config)} ${n}`)
    );
    steps += norms.length;
  }
  assert.ok(steps >= 200);
});

/** The absolute value of a normal number, by Box and Muller. */
const halfNormal = (next: () => number) =>
  Math.abs(Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));

Deno.test("the bound settles at the quantile, from far below and far above, with noise and without", () => {
  // The median and the 80th percentile of |z|.
  for (const [target, quantile] of [[0.5, 0.6745], [0.8, 1.2816]] as const) {
    for (const initial_l2_norm_clip of [1e-3, 1e3]) {
      for (const noise of [{}, { clipped_count_stddev: 5, seed: 3 }]) {
        const next = random(11);
        const bound = start({ initial_l2_norm_clip, target_unclipped_quantile: target, ...noise });
        const steps = Array.from(
          { length: 400 },
          () => bound.step(Array.from({ length: 100 }, () => halfNormal(next))),
        );
        const late = steps.slice(200).map(Math.log).reduce((sum, each) => sum + each, 0) / 200;
        assert.ok(
          Math.abs(Math.exp(late) / quantile - 1) < 0.1,
          `${target} from ${initial_l2_norm_clip}: ${Math.exp(late)}`,
        );
      }
    }
  }
});

Deno.test("a step changes the bound by a factor of at most exp(learning_rate)", () => {
  for (const config of [{}, { clipped_count_stddev: 1e6, seed: 1 }, { expected_num_records: 1 }]) {
    const bound = start({ learning_rate: 0.25, ...config });
    for (let n = 0; n < 50; n++) {
      const before = bound.norm;
      const factor = bound.step([n % 2 === 0 ? 0 : Infinity, NaN]) / before;
      assert.ok(factor >= Math.exp(-0.25) * 0.999999 && factor <= Math.exp(0.25) * 1.000001, `${factor}`);
    }
  }
});

Deno.test("the bound stays a normal float32 above 0, whatever the norms and the learning rate", () => {
  for (const learning_rate of [1, 1e10, FLOAT32_MAX]) {
    for (const norms of [[0, 0], [Infinity], [NaN, NaN, NaN]]) {
      const bound = start({ learning_rate });
      for (let n = 0; n < 300; n++) {
        const norm = bound.step(norms);
        assert.ok(norm >= FLOAT32_NORMAL_MIN && norm <= FLOAT32_MAX && norm === Math.fround(norm), `${norm}`);
      }
    }
  }
});

Deno.test("noise on the count follows from seed and iteration, and has the standard deviation that is asked for", () => {
  const part = clipNorms.resolve({
    class_name: "AdaptiveQuantile",
    config: { clipped_count_stddev: 2, seed: 5, learning_rate: 1 },
  });
  const drawn = Array.from({ length: 2000 }, (_, iteration) => {
    const next = part.member.next(part.config, { norm: 1, count: 100, within: 50, iteration });
    assert.equal(next, part.member.next(part.config, { norm: 1, count: 100, within: 50, iteration }));
    return -100 * Math.log(next);
  });
  const mean = drawn.reduce((sum, each) => sum + each) / drawn.length;
  const deviation = Math.sqrt(drawn.reduce((sum, each) => sum + (each - mean) ** 2, 0) / drawn.length);
  assert.ok(Math.abs(mean) < 0.2, `mean ${mean}`);
  assert.ok(Math.abs(deviation - 2) < 0.15, `deviation ${deviation}`);
});

Deno.test("configs that make no bound are refused with the key", () => {
  const refused: readonly (readonly [string, Config])[] = [
    ["initial_l2_norm_clip", { initial_l2_norm_clip: 0 }],
    ["initial_l2_norm_clip", { initial_l2_norm_clip: 1e-40 }],
    ["target_unclipped_quantile", { target_unclipped_quantile: 1.1 }],
    ["learning_rate", { learning_rate: -1 }],
    ["expected_num_records", { expected_num_records: 0 }],
    ["seed", { clipped_count_stddev: 1 }],
    ["seed", { clipped_count_stddev: 1, seed: null }],
    ["seed", { seed: 1.5 }],
  ];
  for (const [key, config] of refused) {
    assert.throws(() => start(config), (error: { code?: string; issues?: { path: string }[] }) => {
      assert.equal(error.code, "invalid_config");
      assert.deepEqual(error.issues?.map(({ path }) => path), [`config.${key}`]);
      return true;
    });
  }
});
