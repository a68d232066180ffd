/**
 * Benchmark of the always-on figures. On our side, a session stages a gradient (with sums of squares and the check
 * for NaN and infinity, block by block as it arrives) and applies it. The other side does the same without any
 * figures: it copies the same bytes to the same kind of memory and makes the same kernel call. It also takes a step
 * of one parameter, which stands for the other costs of a session's step. The bytes come in pieces as large as the
 * HTTP reader's.
 */
import type { Arena } from "../kernels/arena.ts";
import { type Call, runCompiled } from "../kernels/compiler/runner.ts";
import { Registry } from "../src/run/registry/registry.ts";
import type { Session } from "../src/run/session/session.ts";
import type { Benchmark } from "./bench.ts";
import { gradientValues } from "./data.ts";
import { checkEqual, compare, timed } from "./harness.ts";
import { MEMBERS } from "./kernel_step.ts";
import { type Goal, ratioRow, showCount } from "./row.ts";

const COUNTS = [1_000_000, 10_000_000];
const PIECE_BYTES = 64 * 1024;
const GOAL: Goal = { relation: "≤", value: 1.05 };

export const figuresBenchmark: Benchmark = {
  name: "figures",
  async *rows({ compare: options }) {
    for (const count of COUNTS) {
      const work = `ingest + Adam ${showCount(count)}`;
      const bytes = new Uint8Array(gradientValues(count, 2).buffer);
      const ours = await openRun(count);
      const plain = await openRun(count);
      const turn = await openRun(1);
      stepWith(ours.session, bytes, count);
      stepWith(plain.session, bytes, count);
      const withFigures = timed("with figures", () => stepWith(ours.session, bytes, count));
      const without = timed("without", () => {
        stepWithout(plain.caught, bytes);
        stepWith(turn.session, bytes.subarray(0, 4), 1);
      });
      checkEqual(work, valuesOf(ours.session), valuesOf(plain.session));
      yield ratioRow(work, "the same without figures", await compare(withFigures, without, options), {
        goal: GOAL,
        as: "cost",
      });
    }
  },
};

interface Caught {
  arena: Arena | null;
  call: Call | null;
}

/** A session with one Adam variable, whose latest kernel call is recorded. */
async function openRun(count: number): Promise<{ session: Session; caught: Caught }> {
  const caught: Caught = { arena: null, call: null };
  const registry = new Registry({
    runsMax: 1,
    memoryBytesMax: 2 ** 32,
    runner: (arena, call) => {
      Object.assign(caught, { arena, call });
      return runCompiled(arena, call);
    },
    now: () => new Date(),
    newId: () => "bench",
    drawSeed: () => 7,
  });
  const session = await registry.create({
    optimizer: MEMBERS.Adam,
    variables: [{ name: "w", shape: [count] }],
  });
  return { session, caught };
}

function stepWith(session: Session, bytes: Uint8Array, count: number): void {
  const staging = session.stage("gradients");
  const sink = staging.dense("w", { dtype: "F32", shape: [count] });
  forEachPiece(bytes, (piece) => sink.write(piece));
  sink.close();
  session.applyGradients(staging, { aggregate: true, dryRun: false });
  staging.release();
}

/**
 * The gradient's region was released after the first step; nothing else uses it, because the run has its own arena.
 */
function stepWithout({ arena, call }: Caught, bytes: Uint8Array): void {
  if (arena === null || call === null) throw new Error("Cannot step: no kernel call was caught");
  let target = call.tensors["g"] as number;
  forEachPiece(bytes, (piece) => {
    arena.u8(target, piece.length).set(piece);
    target += piece.length;
  });
  runCompiled(arena, call);
}

function forEachPiece(bytes: Uint8Array, take: (piece: Uint8Array) => void): void {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) take(bytes.subarray(at, at + PIECE_BYTES));
}

function valuesOf(session: Session): Float32Array {
  const publication = session.publish();
  const values = publication.tensors[0]?.values ?? new Float32Array();
  publication.release();
  return values;
}
