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
import type { ResolvedGroup } from "../spec/groups.ts";
import { type ResolvedSpec, type ResolvedVariable, serializeSpec } from "../spec/spec.ts";
import type { CreatedSlot } from "../tensors/created_slots.ts";
import type { RunState } from "../tensors/state.ts";
import { FORMAT_VERSION, type Saved } from "./checkpoint_format.ts";

export interface Checkpointed {
  readonly spec: ResolvedSpec;
  /** By group. */
  readonly optimizers: readonly [Optimizer, ...Optimizer[]];
  readonly groups: readonly ResolvedGroup[];
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
  const { spec, optimizers, groups, state, version, sequence, round, createdAt } = checkpointed,
    [optimizer] = optimizers;
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
    scalars: scalarsOf(state, 0),
    slots: groups.length === 0 ? [...state.slotNames] : state.slotsOf(0),
    optimizer: saveOptimizer(optimizer),
    ...groups.length > 0 && {
      groups: groups.map(({ name, own }, n) => ({
        name,
        scalars: scalarsOf(state, n + 1),
        slots: state.slotsOf(n + 1),
        optimizer: saveOptimizer(optimizers[n + 1] as Optimizer),
        ...own && { own: [...own] },
      })),
    },
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
      const savedGroups = groups.map(({ name, patterns, own }, n) => {
        const each = optimizers[n + 1] as Optimizer;
        const sparse = each.sparse ?? "keras";
        const member = own ? {} : { optimizer: serialize({ member: each.member, config: {} }) };
        return { name, variables: patterns, sparse, ...member };
      });
      const told = { ...rest, ...groups.length > 0 && { groups: savedGroups } };
      yield `,"spec":${exactJson(told).slice(0, -1)},"variables":`;
      yield* listText(spec.variables, variableText);
      yield "}}";
    },
  };
}

function scalarsOf({ scalars }: RunState, group: number) {
  return Object.fromEntries(
    Object.entries(scalars[group] ?? {}).map(([name, value]) => [name, nest(Float32Array.of(value), [])]),
  );
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
