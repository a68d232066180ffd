/** Encodes changes of a run as journal records (record_format.ts). */
import type { Arena } from "../../../kernels/arena.ts";
import { exactJson } from "../../wire/exact_json.ts";
import type { KeyUse } from "../api/steps.ts";
import type { Staged } from "../staging/staged.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";
import type { WholeWeights } from "../tensors/weights.ts";
import { ALL, bytesOf, type Head, KINDS, type RecordedTensor } from "./record_format.ts";

/** Why a round ends, and whether its contributions become a step. */
export interface RoundEnd {
  readonly reason: "complete" | "deadline";
  readonly applied: boolean;
  /** Why a round that was due is dropped; absent if it had too few contributions. */
  readonly why?: string;
  /** The edition of the aggregators that it was closed with; absent: 1. */
  readonly edition?: number;
}

/** A change as a record's kind and payload. */
export interface Change {
  readonly kind: number;
  readonly payload: readonly Uint8Array[];
}

function change(kind: number, head: Head, bytes: readonly Uint8Array[]): Change {
  const json = new TextEncoder().encode(exactJson(head));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, json.length, true);
  return { kind, payload: [length, json, ...bytes] };
}

/** The end of a round: its contributions become a step together, or are dropped. */
export function roundChange(end: RoundEnd): Change {
  return change(KINDS.round, { options: { ...end }, tensors: [], absent: [] }, []);
}

export function withdrawalChange(clientId: string): Change {
  return change(KINDS.withdrawal, { options: { clientId }, tensors: [], absent: [] }, []);
}

/** The tensors of a body. The payload has views of the arena, so it must be written at once. */
export function stagedChange(
  state: RunState,
  staging: ArenaStaging,
  { options = {}, kind = staging.kind === "gradients" ? KINDS.gradients : KINDS.variables, key }: {
    readonly options?: Readonly<Record<string, unknown>>;
    readonly kind?: number;
    readonly key?: KeyUse | undefined;
  },
): Change {
  const { arena } = state, all = allOf(state, staging);
  const head = { options: { ...options }, ...key && { key } };
  if (all) return change(kind, { ...head, tensors: ALL, absent: [] }, [all]);
  const { together, apart, arrived, absent } = staging;
  if (together && apart.size === 0) {
    const tensors = arrived.map(({ name, shape }) => ({
      name,
      dense: { dtype: "F32" as const, shape: [...shape] },
    }));
    return change(kind, { ...head, tensors, absent }, together.received());
  }
  const recorded = [...staging.tensors.values()].map((staged) => recordOf(staged, arena));
  const tensors = recorded.map(({ tensor }) => tensor), bytes = recorded.flatMap(({ bytes }) => bytes);
  return change(kind, { ...head, tensors, absent }, bytes);
}

/**
 * The bytes of a gradient of all variables, for the short form; undefined if it has no such form. The order of a body
 * decides in which order slots are created, so it is told as long as that matters.
 */
function allOf(state: RunState, { kind, apart, together }: ArenaStaging): Uint8Array | undefined {
  if (kind !== "gradients" || !together || apart.size > 0) return undefined;
  const { arrangement: { variables, count, isInOrder }, values } = together;
  if (variables.length < state.optimized.length || !(isInOrder || state.areAllCreated)) return undefined;
  return state.arena.u8(values, 4 * count);
}

/** A tensor as it was received: its entry in the head, and its bytes. */
function recordOf(staged: Staged, arena: Arena): { tensor: RecordedTensor; bytes: Uint8Array[] } {
  const { variable: { name, shape }, wire: { dtype, offset, scale } } = staged;
  const flat = staged.kind === "dense" && staged.entries !== undefined;
  const list = staged.kind === "dense" ? staged.entries : { indices: staged.indices, count: staged.rows };
  const values = { dtype, shape: list ? [list.count, ...(flat ? [] : shape.slice(1))] : [...shape] };
  const indices = list && { dtype: "I32" as const, shape: [list.count] };
  const bytes = [
    ...(list ? [arena.u8(list.indices, 4 * list.count)] : []),
    ...(scale ? [arena.u8(scale.offset, 4 * scale.count)] : []),
    arena.u8(offset, bytesOf(values)),
  ];
  if (!scale && !flat) {
    return { tensor: { name, ...(indices ? { indices, values } : { dense: values }) }, bytes };
  }
  const packed = {
    ...(indices && { indices }),
    ...(scale && { scale: { dtype: "F32" as const, shape: [scale.count], block: scale.block } }),
    values,
    flat,
  };
  return { tensor: { name, packed }, bytes };
}

/** A list of weights that is set, with the iteration count beside it. */
export function weightsChange({ iterations, values }: WholeWeights, key?: KeyUse): Change {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const head = { options: { iterations }, absent: [], ...key && { key } };
  return change(KINDS.weights, { ...head, tensors: ALL }, [bytes]);
}

/** `group`: that of the run's optimizer if it is undefined. */
export function optimizerChange(
  config: Readonly<Record<string, unknown>>,
  { key, group }: { readonly key?: KeyUse | undefined; readonly group?: string | undefined },
): Change {
  const head = { options: { ...config }, tensors: [], absent: [] };
  return change(KINDS.optimizer, { ...head, ...key && { key }, ...group !== undefined && { group } }, []);
}
