/** Bodies of every operation, mostly nearly right. */
import fc from "fast-check";
import { f32, file, GRADIENTS, SPEC } from "../../routes/support/harness.ts";
import { SIGNUM } from "../../support/signum.ts";
import { RUNS } from "./http_targets.ts";
import { damaged, damagedBytes, twisted } from "./texts.ts";
import { file as anyFile, jsonText, tensors } from "./wire_inputs.ts";

const gradientFields = {
  gradients: GRADIENTS,
  client_id: "phone",
  weight: 2,
  base_iteration: 0,
  loss: 0.5,
  hyperparameters: { learning_rate: 0.1 },
};
const LOSS = { loss: "sum(nope)", inputs: { x: [1] }, var_list: ["bias"], grad_loss: 1, client_id: "phone" };
const someTensors = fc.oneof(tensors, tensors.map((value) => ({ ...GRADIENTS, ...value as object })));
export const ROUND = {
  optimizer: "SGD",
  variables: SPEC.variables.map(({ name, shape }) => ({ name, shape })),
  aggregation: { mode: "round", quorum: 3, payload: "delta" },
};
const ids = fc.constantFrom("new", "other", "demo", ".x", "");
const VALUES = { kernel: [[1, 2, 3], [4, 5, 6]], bias: [1, 2, 3] };
/** Of the run "demo": its iterations, then two slots of each variable. */
const SLOTS = [VALUES.kernel, VALUES.bias, [[0, 0], [0, 0], [0, 0], [0, 0]], 0];
const WEIGHTS = [1, ...SLOTS, ...SLOTS];

/** JSON bodies by operation, mostly nearly right. */
const JSON_BODIES: readonly (readonly [method: string, path: string, fc.Arbitrary<unknown>])[] = [
  ["POST", "/v1/runs", fc.tuple(twisted(SPEC), ids).map(([spec, id]) => ({ ...spec as object, id }))],
  ["POST", "/v1/runs", twisted({ ...ROUND, id: "other" })],
  ["POST", "/v1/runs/RUN/gradients", twisted(gradientFields)],
  ["POST", "/v1/runs/RUN/gradients", someTensors.map((gradients) => ({ ...gradientFields, gradients }))],
  [
    "PUT",
    "/v1/runs/RUN/variables",
    fc.oneof(twisted({ variables: VALUES }), someTensors.map((variables) => ({ variables }))),
  ],
  ["PUT", "/v1/runs/RUN/weights", twisted({ weights: WEIGHTS })],
  ["PATCH", "/v1/runs/RUN/optimizer", twisted({ config: { learning_rate: 0.5 } })],
  ["POST", "/v1/runs/RUN/variables/gather", twisted({ name: "emb", indices: [0, 3, 1] })],
  ["POST", "/v1/optimizers", twisted(SIGNUM)],
  // Losses that cannot be evaluated: that would start a thread, and is no parser.
  ["POST", "/v1/runs/RUN/compute-gradients", twisted(LOSS)],
  [
    "POST",
    "/v1/runs/RUN/minimize",
    twisted({ ...LOSS, model: { class_name: "Sequential", config: { layers: [] } } }),
  ],
];

export const jsonBody = fc.tuple(
  fc.constantFrom(...RUNS),
  fc.oneof(...JSON_BODIES.map(([method, path, bodies]) =>
    fc.oneof(
      { weight: 5, arbitrary: bodies.map((value) => JSON.stringify(value) ?? "") },
      { weight: 1, arbitrary: damaged(bodies.map((value) => JSON.stringify(value) ?? "")) },
      { weight: 1, arbitrary: jsonText },
    ).map((body) => ({ method, path, body }))
  )),
).map(([run, { method, path, body }]) => ({ method, path: path.replace("RUN", run), body }));

const savedText = {
  format_version: 1,
  created_at: "2025-01-31T12:00:00.000Z",
  version: 3,
  sequence: 3,
  round: 0,
  iterations: 2,
  hypers_created: false,
  scalars: {},
  created: [],
  slots: [],
  optimizer: { class_name: "SGD", config: { learning_rate: 0.1 } },
  spec: {
    optimizer: { class_name: "SGD", config: { learning_rate: 0.1 } },
    variables: [{ name: "w", shape: [2] }],
    aggregation: { mode: "immediate", aggregator: "Mean" },
    gradient_transformers: [],
    non_finite: "reject",
    durability: "journal",
  },
};
const checkpoint = twisted(savedText).map((saved) =>
  file({ "variables/w": f32([2], [1, 2]) }, { stepwell: JSON.stringify(saved) ?? "" })
);
const GRADIENT_FILE = file({ kernel: f32([2, 3], [1, 2, 3, 4, 5, 6]), scale: f32([], [1]) }, { weight: "2" });
const GRADIENTS_PATH = ["POST", "/v1/runs/RUN/gradients"] as const;
const CHECKPOINT_PATH = ["PUT", "/v1/runs/RUN/checkpoint"] as const;
const FILE_PATHS = [
  GRADIENTS_PATH,
  CHECKPOINT_PATH,
  ["PUT", "/v1/runs/RUN/variables"],
  ["PUT", "/v1/runs/RUN/weights"],
] as const;
const gradientFile = damagedBytes(fc.constant(GRADIENT_FILE));
export const fileBody = fc.tuple(
  fc.constantFrom(...RUNS),
  fc.oneof(
    fc.tuple(fc.constant(GRADIENTS_PATH), gradientFile),
    fc.tuple(fc.constant(CHECKPOINT_PATH), fc.oneof(checkpoint, damagedBytes(checkpoint))),
    fc.tuple(fc.constantFrom(...FILE_PATHS), fc.oneof(checkpoint, gradientFile, anyFile)),
  ),
).map(([run, [[method, path], body]]) => ({
  method: method as string,
  path: path.replace("RUN", run),
  body,
}));
