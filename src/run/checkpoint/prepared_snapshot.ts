/**
 * What a snapshot of a run with many variables has that no change of the run changes, made in slices before the
 * snapshot is begun: that has to be done in one turn.
 */
import { inSlices } from "../../slices.ts";
import { layingOut, type Layout } from "../../wire/safetensors_writer.ts";
import type { RunDescription } from "../api/run_description.ts";
import type { CheckpointSource, LiveTensor } from "./checkpoint.ts";

/** Runs with fewer variables need nothing beforehand. */
const VARIABLES_MIN = 500;
/** Variables that are written at a time, and how long one takes. */
const PIECE = 1000, VARIABLE_UNITS = 1000;

export interface PreparedSnapshot {
  /** Of the tensors that the run had. It may have got more slots since. */
  readonly layout: Layout<LiveTensor>;
  /** The list of variables in the run's description, as JSON, and the list that it was made from. */
  readonly variables: RunDescription["variables"];
  readonly variablesJson: string;
}

export async function prepareSnapshot(
  source: Pick<CheckpointSource, "liveTensors" | "describe">,
): Promise<PreparedSnapshot | undefined> {
  const { variables } = source.describe();
  if (variables.length < VARIABLES_MIN) return undefined;
  const layout = await inSlices(layingOut(source.liveTensors()));
  return { layout, variables, variablesJson: await inSlices(listing(variables)) };
}

function* listing(variables: RunDescription["variables"]): Generator<number, string> {
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
