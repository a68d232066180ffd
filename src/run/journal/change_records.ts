/**
 * Encodes changes of a run as journal records, and replays records as changes.
 *
 *     payload  head length u32 | head (JSON) | bytes of the tensors in the head's order
 *
 * Tensors keep the bytes in which they were sent: bf16, f16, int8 with scales, and the entries of a flat tensor. All
 * others are float32 as in the arena. The parts of a tensor are in the order indices, scale, values.
 * A replay goes through the same staging and the same methods of the session as a request.
 */
import { z } from "zod";
import type { Arena } from "../../../kernels/arena.ts";
import type { JournalRecord, Payload } from "../../store/journal_reader.ts";
import { exactJson } from "../../wire/exact_json.ts";
import { type ByteSink, elementCount, type NamedTensor, WIRE_DTYPES, type WireTensor } from "../../tensor.ts";
import type { KeyUse, StepOptions } from "../api/steps.ts";
import type { Staged } from "../staging/staged.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RunState } from "../tensors/state.ts";

/** Maximum bytes of a record that are read at a time. */
const PIECE_BYTES_MAX = 1024 ** 2;

export const KINDS = {
  gradients: 1,
  variables: 2,
  weights: 3,
  optimizer: 4,
  contribution: 5,
  round: 6,
  withdrawal: 7,
} as const;

const Wire = z.strictObject({
  dtype: z.enum(["F32", "F16", "BF16", "F64", "I8", "I32", "I64"]),
  shape: z.array(z.int()),
});
const Packed = z.strictObject({
  indices: Wire.exactOptional(),
  scale: Wire.extend({ block: z.int() }).exactOptional(),
  values: Wire,
  flat: z.boolean(),
});
const Tensor = z.union([
  z.strictObject({ name: z.string(), dense: Wire }),
  z.strictObject({ name: z.string(), indices: Wire, values: Wire }),
  z.strictObject({ name: z.string(), packed: Packed }),
]);
/** Dense float32 tensors of all optimized variables, in the run's order. */
const ALL = "all";
const Head = z.strictObject({
  options: z.record(z.string(), z.unknown()),
  tensors: z.union([z.literal(ALL), z.array(Tensor)]),
  absent: z.array(z.string()),
  /** Of a change that is no contribution; a contribution has it among its options. */
  key: z.strictObject({ key: z.string(), hash: z.string(), at: z.number() }).exactOptional(),
});
type Head = z.infer<typeof Head>;

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

const bytesOf = ({ dtype, shape }: WireTensor) => elementCount(shape) * WIRE_DTYPES[dtype];

/** A tensor as it was received: its entry in the head, and its bytes. */
function recordOf(staged: Staged, arena: Arena): { tensor: z.infer<typeof Tensor>; bytes: Uint8Array[] } {
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
export function weightsChange(
  iterations: number,
  weights: readonly Omit<NamedTensor, "name">[],
  key?: KeyUse,
): Change {
  const tensors = weights.map(({ shape }, index) => ({
    name: String(index),
    dense: { dtype: "F32" as const, shape: [...shape] },
  }));
  const bytes = weights.map(({ values }) =>
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  );
  return change(KINDS.weights, { options: { iterations }, tensors, absent: [], ...key && { key } }, bytes);
}

export function optimizerChange(config: Readonly<Record<string, unknown>>, key?: KeyUse): Change {
  return change(KINDS.optimizer, { options: { ...config }, tensors: [], absent: [], ...key && { key } }, []);
}

/** Options of a contribution, and the time when it was accepted: milliseconds since 1970. */
export interface ContributionOptions extends StepOptions {
  readonly at: number;
}

/** The part of a session that a replay calls. */
export interface Replayable {
  stage(kind: "gradients" | "values"): ArenaStaging;
  step(staging: ArenaStaging, options: StepOptions): unknown;
  contribute(staging: ArenaStaging, options: ContributionOptions): unknown;
  endRound(end: RoundEnd): unknown;
  withdraw(clientId: string): void;
  setVariables(staging: ArenaStaging, key?: KeyUse): void;
  setWeights(weights: readonly unknown[], key?: KeyUse): void;
  patchOptimizer(config: Readonly<Record<string, unknown>>, key?: KeyUse): unknown;
}

/**
 * Makes a recorded change again. Throws what the change throws; a change that was accepted once is accepted again.
 */
export function replay(session: Replayable, record: JournalRecord): void {
  const { kind } = record;
  const content = read(record), { head: { options, key } } = content;
  if (kind === KINDS.optimizer) session.patchOptimizer(options, key);
  else if (kind === KINDS.weights) session.setWeights(weightsOf(content), key);
  else if (kind === KINDS.round) session.endRound(options as unknown as RoundEnd);
  else if (kind === KINDS.withdrawal) session.withdraw(String(options["clientId"]));
  else if (kind === KINDS.variables) {
    using staging = session.stage("values");
    fill(staging, content);
    session.setVariables(staging, key);
  } else if (kind === KINDS.gradients) {
    using staging = session.stage("gradients");
    fill(staging, content);
    session.step(staging, { ...options as unknown as StepOptions, isRecorded: true });
  } else if (kind === KINDS.contribution) {
    using staging = session.stage("gradients");
    fill(staging, content);
    session.contribute(staging, { ...options as unknown as ContributionOptions, isRecorded: true });
  } else throw new Error(`Cannot replay a record of kind ${kind}`);
}

/** Stages a recorded contribution as it was received, and passes it to `use`. */
export function readContribution(
  session: Pick<Replayable, "stage">,
  record: JournalRecord,
  use: (staging: ArenaStaging, options: ContributionOptions) => void,
): void {
  const content = read(record);
  using staging = session.stage("gradients");
  fill(staging, content);
  use(staging, content.head.options as unknown as ContributionOptions);
}

interface Content {
  readonly head: Head;
  /** The bytes after the head. */
  readonly payload: Payload;
}

function read({ payload }: JournalRecord): Content {
  const prefix = payload.next(4);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0, true);
  return { head: Head.parse(JSON.parse(new TextDecoder().decode(payload.next(length)))), payload };
}

/** The next bytes of a payload, in pieces. Each piece must be used before the next one is read. */
function* take(payload: Payload, bytes: number): Generator<Uint8Array<ArrayBuffer>> {
  for (let left = bytes; left > 0;) {
    const piece = payload.next(Math.min(left, PIECE_BYTES_MAX));
    if (piece.length === 0) throw new Error(`The record ends ${left} bytes early`);
    yield piece;
    left -= piece.length;
  }
}

function weightsOf({ head, payload }: Content): unknown[] {
  if (head.tensors === ALL) throw new Error("A list of weights has no short form");
  const tensors = head.tensors.map((tensor) => {
    const shape = "dense" in tensor ? tensor.dense.shape : [];
    const values = new Float32Array(elementCount(shape)), bytes = new Uint8Array(values.buffer);
    let at = 0;
    for (const piece of take(payload, bytes.length)) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return { shape, values };
  });
  return [head.options["iterations"], ...tensors];
}

/** Stages the tensors of a record as they were received. */
function fill(staging: ArenaStaging, { head, payload }: Content): void {
  if (head.tensors === ALL) return fillAll(staging, payload);
  const pour = (sink: ByteSink | undefined, wire: WireTensor | undefined) => {
    if (!sink || !wire) return;
    for (const piece of take(payload, bytesOf(wire))) sink.write(piece);
    sink.close();
  };
  for (const tensor of head.tensors) {
    if ("dense" in tensor) pour(staging.dense(tensor.name, tensor.dense), tensor.dense);
    else if ("packed" in tensor) {
      const { name, packed } = tensor;
      const sinks = staging.packed(name, packed);
      pour(sinks.indices, packed.indices);
      pour(sinks.scale, packed.scale);
      pour(sinks.values, packed.values);
    } else {
      const sinks = staging.sparse(tensor.name, tensor.indices, tensor.values);
      pour(sinks.indices, tensor.indices);
      pour(sinks.values, tensor.values);
    }
  }
  for (const name of head.absent) staging.none(name);
}

function fillAll(staging: ArenaStaging, payload: Payload): void {
  const { sink, bytes } = staging.allInOrder();
  for (const piece of take(payload, bytes)) sink.write(piece);
  sink.close();
}
