/**
 * What a snapshot of a run with many variables has that few changes of the run change, made in slices before the
 * snapshot is begun: that has to be done in one turn.
 */
import { atOnce, inSlices } from "../../slices.ts";
import type { RunDescription } from "../api/run_description.ts";
import type { RunState } from "../tensors/state.ts";
import type { CheckpointSource } from "./checkpoint.ts";
import { layingOutRun, type RunLayout } from "./run_layout.ts";
import type { SavedText } from "./saved_text.ts";

/** Runs with fewer variables need nothing beforehand. */
const VARIABLES_MIN = 500;
/** Variables that are written at a time, and how long one takes. */
const PIECE = 1000, VARIABLE_UNITS = 500;
/** How long it takes to write a letter of the metadata. */
const LETTER_UNITS = 10;

export interface PreparedSnapshot {
  readonly text: PreparedText;
  /** The list of variables in the run's description, as JSON, and the list that it was made from. */
  readonly variables: RunDescription["variables"];
  readonly variablesJson: string;
}

/** Parts of a snapshot's header. */
export interface PreparedText {
  readonly layout: RunLayout;
  /** The end of the JSON text of `Saved`, as it stands in a JSON string. */
  readonly tail: readonly Uint8Array<ArrayBuffer>[];
  /** Counts of the slots and of the created ones that it was made with. */
  readonly slotCount: number;
  readonly createdCount: number;
}

export async function prepareSnapshot(
  source: Pick<CheckpointSource, "liveCheckpoint" | "describe">,
): Promise<PreparedSnapshot | undefined> {
  const { variables } = source.describe();
  if (variables.length < VARIABLES_MIN) return undefined;
  const { state, saved } = source.liveCheckpoint();
  const text = await inSlices(preparingText(state, saved));
  return { text, variables, variablesJson: await inSlices(listing(variables)) };
}

const encoder = new TextEncoder();

function* preparingText(state: RunState, saved: SavedText): Generator<number, PreparedText> {
  const slotCount = state.slotNames.length, createdCount = state.created.length;
  const layout = yield* layingOutRun(state);
  const tail: Uint8Array<ArrayBuffer>[] = [];
  for (const piece of saved.tail()) {
    tail.push(encoder.encode(JSON.stringify(piece).slice(1, -1)));
    yield LETTER_UNITS * piece.length;
  }
  return { layout, tail, slotCount, createdCount };
}

/** The parts as they are for the run as it is now. */
export function presentText(
  state: RunState,
  saved: SavedText,
  prepared: PreparedText | undefined,
): PreparedText {
  const isPresent = prepared?.slotCount === state.slotNames.length &&
    prepared.createdCount === state.created.length;
  return isPresent ? prepared : atOnce(preparingText(state, saved));
}

/** A list of variables as JSON, in pieces. */
export function* listing(variables: readonly unknown[]): Generator<number, string> {
  const parts: string[] = [];
  for (let at = 0; at < variables.length; at += PIECE) {
    parts.push(JSON.stringify(variables.slice(at, at + PIECE)).slice(1, -1));
    yield PIECE * VARIABLE_UNITS;
  }
  return `[${parts.join()}]`;
}

/** The run's description as JSON. */
export function configJson(run: RunDescription, prepared: PreparedSnapshot | undefined): string {
  if (run.variables !== prepared?.variables) return JSON.stringify(run);
  const members = Object.entries(run).filter(([, value]) => value !== undefined).map(([name, value]) =>
    `${JSON.stringify(name)}:${name === "variables" ? prepared.variablesJson : JSON.stringify(value)}`
  );
  return `{${members.join()}}`;
}
