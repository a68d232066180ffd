/**
 * Replays journal records (record_format.ts) as changes.
 *
 * Invariant: a replay goes through the same staging and the same methods of the session as a request. It works in
 * pieces: what is long is done before the change, which is made in one turn.
 */
import { atOnce } from "../../slices.ts";
import type { JournalRecord, Payload } from "../../store/journal_reader.ts";
import { type ByteSink, elementCount, type WireTensor } from "../../tensor.ts";
import type { KeyUse, StepOptions } from "../api/steps.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import type { RoundEnd } from "./change_records.ts";
import type { WholeWeights } from "../tensors/weights.ts";
import { ALL, bytesOf, Head, KINDS, Names, type RecordedTensor, Tensors } from "./record_format.ts";

/** Maximum bytes of a record that are read at a time. */
const PIECE_BYTES_MAX = 1024 ** 2;
/** Tensors of a head that are checked at a time, and how long that, staging one, and a letter of the head take. */
const SLICE = 1000, CHECK_UNITS = 1000, TENSOR_UNITS = 2000, LETTER_UNITS = 5;
/** How long a change takes for each of its tensors. */
const CHANGE_UNITS = 500;

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
  setWeights(weights: readonly unknown[] | WholeWeights, key?: KeyUse): void;
  patchOptimizer(
    config: Readonly<Record<string, unknown>>,
    options: { readonly key?: KeyUse | undefined; readonly group?: string | undefined },
  ): unknown;
}

/**
 * Makes a recorded change again, in pieces: its tensors are taken before the change is made in one turn. Throws what the
 * change throws; a change that was accepted once is accepted again.
 */
export function* replaying(session: Replayable, record: JournalRecord): Generator<number, void> {
  const { kind } = record;
  const content = yield* read(record), { head: { options, key, group } } = content;
  if (kind === KINDS.optimizer) session.patchOptimizer(options, { key, group });
  else if (kind === KINDS.weights) session.setWeights(yield* weightsOf(content), key);
  else if (kind === KINDS.round) session.endRound(options as unknown as RoundEnd);
  else if (kind === KINDS.withdrawal) session.withdraw(String(options["clientId"]));
  else if (kind === KINDS.variables) {
    using staging = session.stage("values");
    yield* fill(staging, content);
    yield CHANGE_UNITS * staging.size;
    session.setVariables(staging, key);
    yield CHANGE_UNITS * staging.size;
  } else if (kind === KINDS.gradients) {
    using staging = session.stage("gradients");
    yield* fill(staging, content);
    // A large step has a turn of its own.
    yield CHANGE_UNITS * staging.size;
    session.step(staging, { ...options as unknown as StepOptions, isRecorded: true });
    yield CHANGE_UNITS * staging.size;
  } else if (kind === KINDS.contribution) {
    using staging = session.stage("gradients");
    yield* fill(staging, content);
    yield CHANGE_UNITS * staging.size;
    session.contribute(staging, { ...options as unknown as ContributionOptions, isRecorded: true });
    yield CHANGE_UNITS * staging.size;
  } else throw new Error(`Cannot replay a record of kind ${kind}`);
}

/** Stages a recorded contribution as it was received, and passes it to `use`. */
export function readContribution(
  session: Pick<Replayable, "stage">,
  record: JournalRecord,
  use: (staging: ArenaStaging, options: ContributionOptions) => void,
): void {
  const content = atOnce(read(record));
  using staging = session.stage("gradients");
  atOnce(fill(staging, content));
  use(staging, content.head.options as unknown as ContributionOptions);
}

interface Content {
  readonly head: Head;
  /** The bytes after the head, and how many there are. */
  readonly payload: Payload;
  readonly bytes: number;
}

function* read({ payload }: JournalRecord): Generator<number, Content> {
  const prefix = payload.next(4);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(0, true);
  const json = JSON.parse(new TextDecoder().decode(payload.next(length)));
  yield LETTER_UNITS * length;
  const bytes = payload.bytes - prefix.length - length;
  const { tensors, absent } = json;
  if (!Array.isArray(tensors) || !Array.isArray(absent)) return { head: Head.parse(json), payload, bytes };
  const head = Head.parse({ ...json, tensors: [], absent: [] });
  const parsed: RecordedTensor[] = [];
  for (let at = 0; at < tensors.length; at += SLICE) {
    for (const tensor of Tensors.parse(tensors.slice(at, at + SLICE))) parsed.push(tensor);
    yield SLICE * CHECK_UNITS;
  }
  return { head: { ...head, tensors: parsed, absent: Names.parse(absent) }, payload, bytes };
}

/** The next bytes of a payload, in pieces. Each piece must be used before the next one is read. */
function* pieces(payload: Payload, bytes: number): Generator<Uint8Array<ArrayBuffer>> {
  for (let left = bytes; left > 0;) {
    const piece = payload.next(Math.min(left, PIECE_BYTES_MAX));
    if (piece.length === 0) throw new Error(`The record ends ${left} bytes early`);
    yield piece;
    left -= piece.length;
  }
}

function* weightsOf(
  { head, payload, bytes: count }: Content,
): Generator<number, unknown[] | WholeWeights> {
  if (head.tensors === ALL) {
    const bytes = new Uint8Array(count);
    let at = 0;
    for (const piece of pieces(payload, bytes.length)) {
      bytes.set(piece, at);
      at += piece.length;
      yield piece.length;
    }
    return { iterations: Number(head.options["iterations"]), values: new Float32Array(bytes.buffer) };
  }
  const weights: unknown[] = [head.options["iterations"]];
  for (const tensor of head.tensors) {
    const shape = "dense" in tensor ? tensor.dense.shape : [];
    const values = new Float32Array(elementCount(shape)), bytes = new Uint8Array(values.buffer);
    let at = 0;
    for (const piece of pieces(payload, bytes.length)) {
      bytes.set(piece, at);
      at += piece.length;
      yield piece.length;
    }
    weights.push({ shape, values });
    yield TENSOR_UNITS;
  }
  return weights;
}

/** Stages the tensors of a record as they were received, in pieces. */
function* fill(staging: ArenaStaging, { head, payload }: Content): Generator<number, void> {
  if (head.tensors === ALL) return yield* fillAll(staging, payload);
  function* pour(sink: ByteSink | undefined, wire: WireTensor | undefined): Generator<number, void> {
    if (!sink || !wire) return;
    for (const piece of pieces(payload, bytesOf(wire))) {
      sink.write(piece);
      yield TENSOR_UNITS + piece.length;
    }
    sink.close();
  }
  for (const tensor of head.tensors) {
    if ("dense" in tensor) yield* pour(staging.dense(tensor.name, tensor.dense), tensor.dense);
    else if ("packed" in tensor) {
      const { name, packed } = tensor;
      const sinks = staging.packed(name, packed);
      yield* pour(sinks.indices, packed.indices);
      yield* pour(sinks.scale, packed.scale);
      yield* pour(sinks.values, packed.values);
    } else {
      const sinks = staging.sparse(tensor.name, tensor.indices, tensor.values);
      yield* pour(sinks.indices, tensor.indices);
      yield* pour(sinks.values, tensor.values);
    }
  }
  for (const name of head.absent) staging.none(name);
}

function* fillAll(staging: ArenaStaging, payload: Payload): Generator<number, void> {
  const { sink, bytes } = staging.allInOrder();
  for (const piece of pieces(payload, bytes)) {
    sink.write(piece);
    yield piece.length;
  }
  sink.close();
}
