/** The visible state of a run, of the service and of the model. */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { variablesOf } from "../support/harness.ts";
import type { State } from "./state.ts";
import { attempt, isTrouble } from "./outcomes.ts";

function viewOf(session: Session) {
  const { round, iterations, version, accepted, contributions } = session.round();
  return { sequence: session.sequence, round, iterations, version, accepted, contributions };
}

/** Compares all bits, unless there is no memory for a copy. */
function variablesSeen(session: Session): Record<string, number[]> | undefined {
  const { value, error } = attempt(() => variablesOf(session));
  if (error && !isTrouble(error)) throw error;
  return value;
}

/** Checks that the session's state equals the model's. */
export function assertThere(session: Session, state: State, run: string): void {
  const { sequence, round, iterations, version, contributions } = state;
  assert.deepEqual(viewOf(session), {
    sequence,
    round,
    iterations,
    version,
    accepted: contributions.length,
    contributions: contributions.map((each) => ({
      client_id: each.clientId,
      weight: each.weight,
      staleness: each.staleness,
      gradient_norm: each.norm,
      accepted_at: new Date(each.acceptedAt).toISOString(),
    })),
  }, run);
  const seen = variablesSeen(session);
  if (!seen) return;
  const wanted = Object.fromEntries(Object.entries(state.variables).map(([name, { w }]) => [name, w]));
  assert.deepEqual(seen, wanted, `the bits of ${run} at version ${version}`);
}

export function isThere(session: Session, state: State): boolean {
  const { error } = attempt(() => assertThere(session, state, ""));
  if (error && !(error instanceof assert.AssertionError)) throw error;
  return !error;
}
