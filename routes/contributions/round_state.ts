/** The open round as answers and events show it. Changes nothing. */
import type { RunSession } from "../../src/run/api/run_session.ts";
import { sayable } from "../http/answer.ts";

/** In mode immediate the round is null: its rounds cannot be observed. */
export function roundState(run: RunSession) {
  const { contributions, ...state } = run.round();
  return {
    state: { ...state, round: state.mode === "immediate" ? null : state.round },
    contributions: contributions.map((each) => ({ ...each, gradient_norm: sayable(each.gradient_norm) })),
  };
}
