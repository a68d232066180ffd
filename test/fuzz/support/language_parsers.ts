/** The parsers of texts and configs that people write: formulas, losses, models, definitions, members, specs. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { CreateRun } from "../../../routes/create_run.ts";
import { parseBody } from "../../../routes/http/parse_body.ts";
import { compileLoss } from "../../../src/autodiff/graph/compile_loss.ts";
import { Losses } from "../../../src/autodiff/losses.ts";
import { readSettings, SettingError, SETTINGS } from "../../../src/config.ts";
import { serialize } from "../../../src/families/mechanism/family.ts";
import { readDefinition } from "../../../src/families/optimizers/custom/custom_member.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import { schedules } from "../../../src/families/schedules/mod.ts";
import { transformers } from "../../../src/families/transformers/mod.ts";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import { resolveSpec, serializeSpec } from "../../../src/run/spec/spec.ts";
import { SIGNUM } from "../../support/signum.ts";
import {
  BIG,
  call,
  environment,
  FORMULA_WORDS,
  INPUTS,
  LARGE,
  line,
  lines,
  lossText,
  memberOf,
  model,
  MODEL_VARIABLES,
  NUMBERS,
  OPERATORS,
  SETTING_EXTREMES,
  SPEC,
  VARIABLES,
} from "./language_inputs.ts";
import { type Parser, pure } from "./law.ts";
import { damaged, leaf, piled, seldom, twisted } from "./texts.ts";

const losses = () => new Losses(readSettings(() => undefined));

export const LANGUAGE_PARSERS: readonly Parser[] = [
  pure({
    name: "losses",
    extremes: LARGE,
    inputs: lossText,
    share: 6,
    read: (text) => compileLoss(text, { variables: VARIABLES, inputs: INPUTS, elementsMax: 1e6 }),
  }),
  pure({
    name: "calls in losses",
    inputs: fc.tuple(call, call).map(([first, second]) => `a = ${first}; sum(a) + ${second}`),
    share: 4,
    read: (text) => compileLoss(text, { variables: VARIABLES, inputs: INPUTS, elementsMax: 1e6 }),
  }),
  pure({
    name: "models",
    inputs: fc.tuple(
      model,
      twisted("mse", fc.oneof(leaf, fc.constantFrom("Huber", { class_name: "MeanSquaredError" }))),
    ),
    share: 6,
    read: ([model, loss]) => {
      const { graph, names, watched } = losses().compile(
        { model, loss, inputs: [[1, 2]], targets: [[1, 0, 0]] },
        MODEL_VARIABLES,
      );
      return { graph, names, watched };
    },
  }),
  pure({
    name: "definitions",
    inputs: fc.oneof(
      twisted(SIGNUM, fc.oneof(leaf, line, lines)),
      lines.map((dense) => ({ ...SIGNUM, dense: [...SIGNUM.dense, ...dense] })),
    ),
    share: 4,
    read: (json) => readDefinition(json).class_name,
  }),
  pure({
    name: "formulas of schedules",
    inputs: seldom(
      fc.oneof(
        damaged(fc.constantFrom("0.1 / sqrt(T)", "where(mod(T, 3) == 0, 0.5, 0.9)")),
        piled([...FORMULA_WORDS, ...OPERATORS, ...NUMBERS, "T", "t"], 8),
      ),
      BIG,
    ),
    share: 2,
    read: (expression) => serialize(schedules.resolve({ class_name: "Formula", config: { expression } })),
  }),
  pure({
    name: "formulas of transformers",
    extremes: LARGE.map((text) => [text]),
    inputs: fc.array(line.map((text) => text.replace(/^[wm] =/, "g =")), { minLength: 1, maxLength: 3 }),
    share: 3,
    read: (lines) => serialize(transformers.resolve({ class_name: "Formula", config: { lines } })),
  }),
  pure({
    name: "members of families",
    inputs: fc.oneof(...memberOf),
    share: 6,
    read: ({ family, json }) => serialize(family.resolve(json, "here")),
  }),
  pure({
    name: "specs of runs",
    inputs: twisted(SPEC, fc.oneof(leaf, ...memberOf.slice(0, 12).map((one) => one.map(({ json }) => json)))),
    share: 6,
    read: (json) => {
      const spec = resolveSpec(parseBody(CreateRun, json) as RunSpec, optimizers);
      return serializeSpec(spec, { class_name: spec.optimizer.member.class_name, config: {} });
    },
  }),
  pure({
    name: "settings",
    extremes: Object.keys(SETTINGS).flatMap((name) => SETTING_EXTREMES.map((text) => ({ [name]: text }))),
    inputs: environment,
    share: 4,
    isRefusal: (error) => error instanceof SettingError && !error.message.includes("\n"),
    read: (texts) => {
      try {
        return readSettings((name) => texts[name]);
      } catch (error) {
        const { STEPWELL_TOKEN: token = "" } = texts;
        assert.ok(token.length < 8 || !String(error).includes(token), "the message tells the token");
        throw error;
      }
    },
  }),
];
