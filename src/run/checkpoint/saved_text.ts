/**
 * What a checkpoint says of a run besides its tensors: the JSON text of `Saved` (checkpoint_format.ts).
 *
 * The lists of a run with many variables are long and hardly change, so they come last and are written in pieces.
 */
import type { z } from "zod";
import { serialize } from "../../families/mechanism/family.ts";
import type { Optimizer } from "../../families/optimizers/optimizer.ts";
import { saveOptimizer } from "../../families/optimizers/saved.ts";
import { exactJson } from "../../wire/exact_json.ts";
import { nest } from "../../wire/nested_numbers.ts";
import { type ResolvedSpec, type ResolvedVariable, serializeSpec } from "../spec/spec.ts";
import type { CreatedSlot, RunState } from "../tensors/state.ts";
import { FORMAT_VERSION, type Saved } from "./checkpoint_format.ts";

export interface Checkpointed {
  readonly spec: ResolvedSpec;
  readonly optimizer: Optimizer;
  readonly state: RunState;
  readonly version: number;
  readonly sequence: number;
  readonly round: number;
  readonly createdAt: string;
  /** Further metadata to save with the state. */
  readonly remembered: Readonly<Record<string, string>>;
}

export interface SavedText {
  /** The beginning of the text. It changes with every change of the run. */
  readonly head: string;
  /** The rest, in pieces. It is the same as long as as many slots are created. */
  tail(): Generator<string, void>;
}

/** Elements of a list in a piece. */
const PIECE = 1000;

export function savedText(checkpointed: Checkpointed): SavedText {
  const { spec, optimizer, state, version, sequence, round, createdAt } = checkpointed;
  const saved: Omit<z.input<typeof Saved>, "created" | "spec"> = {
    format_version: FORMAT_VERSION,
    created_at: createdAt,
    version,
    sequence,
    round,
    iterations: state.iterations,
    hypers_created: state.hypersCreated,
    ...typeof spec.aggregation.clientClipnorm === "object" && state.clipNorm !== null &&
      { clip_norm: state.clipNorm },
    scalars: Object.fromEntries(
      Object.entries(state.scalars).map(([name, value]) => [name, nest(Float32Array.of(value), [])]),
    ),
    slots: [...state.slotNames],
    optimizer: saveOptimizer(optimizer),
    ...optimizer.member.definition && { definition: optimizer.member.definition },
  };
  return {
    head: exactJson(saved).slice(0, -1),
    *tail() {
      yield `,"created":`;
      yield* listText(state.created, createdText);
      const { variables: _, ...rest } = serializeSpec(
        { ...spec, variables: [] },
        serialize({ member: optimizer.member, config: {} }),
      );
      yield `,"spec":${exactJson(rest).slice(0, -1)},"variables":`;
      yield* listText(spec.variables, variableText);
      yield "}}";
    },
  };
}

function* listText<T>(list: readonly T[], textOf: (element: T) => string): Generator<string, void> {
  let text = "[";
  for (const [n, element] of list.entries()) {
    text += n === 0 ? textOf(element) : `,${textOf(element)}`;
    if (n % PIECE !== PIECE - 1) continue;
    yield text;
    text = "";
  }
  yield `${text}]`;
}

const createdText = ({ variable: { name }, slot }: CreatedSlot) =>
  `{"variable":${JSON.stringify(name)},"slot":${JSON.stringify(slot)}}`;

function variableText({ name, shape, constraint, role }: ResolvedVariable): string {
  const own = constraint ? `,"constraint":${exactJson(constraint.member)}` : "";
  return `{"name":${JSON.stringify(name)},"shape":[${shape.join()}]${own}${
    role === "average" ? ',"role":"average"' : ""
  }}`;
}
