/** Requests that operations which change a run, or read rows of it, must refuse. */
import { f32, file, i64, rawFile } from "./harness.ts";
import { LOSS_TARGETS } from "./loss_rejections.ts";
import { contributing, KERNEL, named, row, type Target, tokens } from "./rejections.ts";

const sparse = (indices: unknown, values: unknown, name = "emb") => ({
  gradients: { [name]: { indices, values } },
});

export const TARGETS: Readonly<Record<string, Target>> = {
  ...LOSS_TARGETS,
  apply_gradients: {
    method: "POST",
    path: "/v1/runs/demo/gradients",
    takesFiles: true,
    good: { gradients: { bias: [1, 2, 3] } },
    rejections: [
      ...named("gradients"),
      ...contributing({ gradients: { scale: 1 } }),
      row("integers in a file", "dtype_mismatch", file({ scale: i64([], [1]) })),
      row(
        "booleans in a file",
        "dtype_mismatch",
        file({ scale: { dtype: "BOOL", shape: [], bytes: Uint8Array.of(1) } }),
      ),
      row(
        "uint16 in a file",
        "dtype_mismatch",
        file({ scale: { dtype: "U16", shape: [], bytes: new Uint8Array(2) } }),
      ),
      row("an index out of range", "index_out_of_range", sparse([0, 4], [[1, 2], [3, 4]]), {
        at: "indices.1",
      }),
      row("a negative index", "index_out_of_range", sparse([-1], [[1, 2]])),
      row("an index beyond int32", "index_out_of_range", sparse([2 ** 40], [[1, 2]])),
      row("an index that is no integer", "invalid_number", sparse([0.5], [[1, 2]])),
      row("more rows than indices", "shape_mismatch", sparse([0], [[1, 2], [3, 4]])),
      row("rows of another length", "shape_mismatch", sparse([0], [[1, 2, 3]])),
      row("rows of a scalar", "shape_mismatch", sparse([0], [1], "scale")),
      row("indices alone", "invalid_request", { gradients: { emb: { indices: [0] } } }),
      row("values alone", "invalid_request", { gradients: { emb: { values: [[1, 2]] } } }),
      row("indices alone in a file", "invalid_request", file({ "emb#indices": i64([1], [0]) })),
      row(
        "indices that are floats in a file",
        "dtype_mismatch",
        file({ "emb#indices": f32([1], [0]), "emb#values": f32([1, 2], [1, 2]) }),
      ),
      row(
        "an index out of range in a file",
        "index_out_of_range",
        file({ "emb#indices": i64([1], [9]), "emb#values": f32([1, 2], [1, 2]) }),
      ),
      row(
        "a negative index in a file",
        "index_out_of_range",
        file({ "emb#indices": i64([1], [-1]), "emb#values": f32([1, 2], [1, 2]) }),
      ),
      row(
        "a variable both dense and sparse",
        "invalid_request",
        file({
          emb: f32([4, 2], [1, 2, 3, 4, 5, 6, 7, 8]),
          "emb#indices": i64([1], [0]),
          "emb#values": f32([1, 2], [1, 2]),
        }),
      ),
      row(
        "a constraint with a sparse gradient",
        "sparse_with_constraint",
        sparse([0], [[1, 2, 3]], "kernel"),
      ),
      row("NaN", "non_finite_gradient", { gradients: { bias: [1, "NaN", 3] } }, { at: "bias" }),
      row("an infinity", "non_finite_gradient", { gradients: { scale: "-Infinity" } }),
      row("NaN in a file", "non_finite_gradient", file({ bias: f32([3], [1, NaN, 3]) })),
      row("NaN in a row", "non_finite_gradient", sparse([1], [["NaN", 0]])),
      row("NaN after a good gradient", "non_finite_gradient", {
        gradients: { kernel: KERNEL, scale: "NaN" },
      }),
      row(
        "finite rows that overflow together",
        "non_finite_gradient",
        sparse([1, 1], [[3e38, 0], [3e38, 0]]),
        {
          at: "emb",
        },
      ),
      row("no gradients", "no_gradients", { gradients: {} }),
      row("null gradients only", "no_gradients", { gradients: { bias: null, scale: null } }),
      row("a file without tensors", "no_gradients", rawFile("{}", [])),
      row("a negative base_iteration", "invalid_request", { gradients: { scale: 1 }, base_iteration: -1 }, {
        at: "base_iteration",
      }),
      row("a base_iteration to come", "invalid_request", { gradients: { scale: 1 }, base_iteration: 2 }, {
        at: "base_iteration",
      }),
      row(
        "a base_iteration in words",
        "invalid_request",
        file({ scale: f32([], [1]) }, { base_iteration: "two" }),
      ),
      row("a misspelt field in a file", "invalid_request", file({ scale: f32([], [1]) }, { clientId: "a" }), {
        at: "__metadata__.clientId",
      }),
      row("a weight of 0", "invalid_request", { gradients: { scale: 1 }, weight: 0 }, { at: "weight" }),
      row("a weight that float32 cannot hold", "invalid_request", { gradients: { scale: 1 }, weight: 1e39 }, {
        at: "weight",
      }),
      row("a subnormal weight", "invalid_request", { gradients: { scale: 1 }, weight: 1e-40 }, {
        at: "weight",
      }),
      row(
        "a weight in a file that float32 cannot hold",
        "invalid_request",
        file({ scale: f32([], [1]) }, {
          weight: "1e39",
        }),
        { at: "weight" },
      ),
      row("an empty client_id", "invalid_request", { gradients: { scale: 1 }, client_id: "" }, {
        at: "client_id",
      }),
      row("an unknown hyperparameter", "invalid_config", {
        gradients: { scale: 1 },
        hyperparameters: { nope: 1 },
      }),
      row("a hyperparameter of another type", "invalid_config", {
        gradients: { scale: 1 },
        hyperparameters: { learning_rate: true },
      }),
      row("an unknown schedule", "unknown_class", {
        gradients: { scale: 1 },
        hyperparameters: { learning_rate: { class_name: "Nope", config: {} } },
      }),
      row("aggregate=maybe", "invalid_request", { gradients: { scale: 1 } }, {
        path: "?aggregate=maybe",
        at: "query.aggregate",
      }),
      row("dry_run=1", "invalid_request", { gradients: { scale: 1 } }, {
        path: "?dry_run=1",
        at: "query.dry_run",
      }),
    ],
  },
  put_variables: {
    method: "PUT",
    path: "/v1/runs/demo/variables",
    takesFiles: true,
    good: { variables: { bias: [1, 2, 3] } },
    rejections: [
      ...named("variables"),
      row(
        "an integer that float32 cannot hold",
        "invalid_number",
        file({ bias: i64([3], [1, 2, 2 ** 24 + 1]) }),
        {
          at: "variables.bias",
        },
      ),
      row(
        "a boolean of 2",
        "invalid_number",
        file({ scale: { dtype: "BOOL", shape: [], bytes: Uint8Array.of(2) } }),
      ),
      row(
        "uint16 in a file",
        "dtype_mismatch",
        file({ scale: { dtype: "U16", shape: [], bytes: new Uint8Array(2) } }),
      ),
      row("null for a tensor", "invalid_request", { variables: { bias: null } }),
      row("rows", "invalid_request", { variables: { emb: { indices: [0], values: [[1, 2]] } } }),
      row("no variables", "invalid_request", { variables: {} }),
      row("a float64 that float32 cannot hold", "invalid_number", {
        variables: {
          scale: {
            dtype: "float64",
            shape: [],
            base64: new Uint8Array(Float64Array.of(1e39).buffer).toBase64(),
          },
        },
      }, { at: "scale" }),
    ],
  },
  put_weights: {
    method: "PUT",
    path: "/v1/runs/demo/weights",
    takesFiles: true,
    good: {
      weights: [
        1,
        [[0, 0, 0], [0, 0, 0]],
        [0, 0, 0],
        [[0, 0], [0, 0], [0, 0], [0, 0]],
        0,
        [[0, 0, 0], [0, 0, 0]],
        [0, 0, 0],
        [[0, 0], [0, 0], [0, 0], [0, 0]],
        0,
      ],
    },
    rejections: [
      row("too few", "invalid_weights", { weights: [1] }),
      row("too many", "invalid_weights", { weights: Array(20).fill(0) }),
      row("a wrong shape", "invalid_weights", { weights: Array(9).fill(0) }, { at: "weights.1" }),
      row("an iteration beyond 2^53 - 1", "invalid_weights", { weights: [2 ** 53, ...Array(8).fill(0)] }),
      row("half an iteration", "invalid_weights", { weights: [0.5, ...Array(8).fill(0)] }),
      row("a text", "invalid_number", { weights: ["x", ...Array(8).fill(0)] }),
      row("no list", "invalid_request", { weights: {} }, { at: "weights" }),
      row("a file whose names are no places", "invalid_request", file({ bias: f32([3], [1, 2, 3]) })),
      row("a file without place 0", "invalid_weights", file({ "1": f32([3], [1, 2, 3]) })),
      row("a file of another dtype", "dtype_mismatch", file({ "0": i64([1], [1]) })),
    ],
  },
  patch_optimizer: {
    method: "PATCH",
    path: "/v1/runs/demo/optimizer",
    takesFiles: false,
    good: { config: { learning_rate: 0.5 } },
    rejections: [
      row("an unknown hyperparameter", "invalid_config", { config: { nope: 1 } }),
      row("a text for a number", "invalid_config", { config: { learning_rate: true } }),
      row("an unknown schedule", "unknown_class", {
        config: { learning_rate: { class_name: "Nope", config: {} } },
      }),
      row("a good one before a bad one", "invalid_config", { config: { learning_rate: 0.5, nope: 1 } }),
      row("a config that is an array", "invalid_request", { config: [] }, { at: "config" }),
      row("an unknown group", "unknown_group", { config: { learning_rate: 0.5 } }, { path: "?group=nobody" }),
      row("an empty group", "invalid_request", { config: { learning_rate: 0.5 } }, { path: "?group=" }),
    ],
  },
  put_checkpoint: {
    method: "PUT",
    path: "/v1/runs/demo/checkpoint",
    takesFiles: true,
    good: undefined,
    rejections: [
      ...tokens({ path: "/v1/runs/demo/checkpoint", good: undefined }),
      row("a file without metadata", "invalid_request", file({ bias: f32([3], [1, 2, 3]) })),
      row(
        "metadata of something else",
        "invalid_request",
        file({ bias: f32([3], [1, 2, 3]) }, { stepwell: "{}" }),
      ),
      row("a file without anything", "invalid_request", rawFile("{}", [])),
      row("JSON", "unsupported_media_type", {}),
      row("an id that cannot be", "invalid_request", rawFile("{}", []), {
        path: "/v1/runs/.x/checkpoint",
        at: "path.run",
      }),
    ],
  },
  gather_variables: {
    method: "POST",
    path: "/v1/runs/demo/variables/gather",
    takesFiles: false,
    isRead: true,
    good: { name: "emb", indices: [0] },
    rejections: [
      row("an unknown variable", "unknown_variable", { name: "nope", indices: [0] }),
      row("an index out of range", "index_out_of_range", { name: "emb", indices: [0, 4] }, {
        at: "indices.1",
      }),
      row("a negative index", "index_out_of_range", { name: "emb", indices: [-1] }),
      row("an index that is no integer", "invalid_request", { name: "emb", indices: [0.5] }, {
        at: "indices.0",
      }),
      row("rows of a scalar", "shape_mismatch", { name: "scale", indices: [0] }),
      row("a name with #", "invalid_request", { name: "emb#values", indices: [0] }, { at: "name" }),
    ],
  },
};
