/** The fields of a contribution in `__metadata__`, beside what other tools write there. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { gradientFields } from "../../src/wire/metadata_fields.ts";
import { assertRefuses } from "./support/refusals.ts";

Deno.test("gradientFields() gives the fields the types of a JSON body", () => {
  const metadata = new Map([
    ["base_iteration", "12"],
    ["client_id", "7"],
    ["weight", "1e2"],
    ["hyperparameters", '{"learning_rate": 0.5}'],
    ["format", "pt"],
    ["block", "32"],
    ["flat", "*"],
  ]);
  assert.deepEqual(gradientFields(metadata), {
    base_iteration: 12,
    client_id: "7",
    weight: 100,
    hyperparameters: { learning_rate: 0.5 },
  });
  assert.deepEqual(gradientFields(new Map()), {});
});

Deno.test("gradientFields() refuses misspelt keys and values of the wrong form", () => {
  const cases: [string, string, RegExp][] = [
    [
      "base_iterations",
      "1",
      /__metadata__\.base_iterations: it is unknown, must be base_iteration if that is/,
    ],
    ["baseIteration", "1", /must be base_iteration/],
    ["clientId", "1", /must be client_id/],
    ["client-id", "1", /must be client_id/],
    ["Weight", "1", /must be weight/],
    ["weights", "1", /must be weight/],
    ["hyperparameter", "{}", /must be hyperparameters/],
    ["hyper_parameters", "{}", /must be hyperparameters/],
    ["los", "1", /must be loss/],
    ["block_", "1", /must be block/],
    ["flatt", "*", /must be flat/],
    ["base_iteration", "", /base_iteration: it must be a number/],
    ["base_iteration", "0x10", /base_iteration: it must be a number/],
    ["base_iteration", '"1"', /base_iteration: it must be a number/],
    ["weight", "NaN", /weight: it must be a number/],
    ["hyperparameters", "[1]", /hyperparameters: it must be a JSON object/],
    ["hyperparameters", "null", /hyperparameters: it must be a JSON object/],
    ["hyperparameters", "{", /hyperparameters: it must be a JSON object/],
  ];
  for (const [key, text, pattern] of cases) {
    assertRefuses("invalid_request", pattern, () => gradientFields(new Map([[key, text]])));
  }
});

const FOREIGN = [
  "modelspec.title",
  "modelspec.sai_model_spec",
  "ss_epoch",
  "ss_learning_rate",
  "format",
  "total_size",
  "library_name",
  "transformers_version",
  "iterations",
  "version",
  "step",
  "epoch",
  "momentum",
  "__proto__",
  "",
];

Deno.test("gradientFields() ignores what other tools write", () => {
  for (const key of FOREIGN) assert.deepEqual(gradientFields(new Map([[key, "1"]])), {}, key);
  fc.assert(fc.property(fc.string({ minLength: 20, unit: "grapheme" }), fc.string(), (key, text) => {
    assert.deepEqual(gradientFields(new Map([[key, text]])), {});
  }));
});
