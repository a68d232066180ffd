/** The open round as answers and events tell of it. Changes nothing. */
import type { RunSession } from "../../src/run/api/run_session.ts";
import { sayable } from "../http/answer.ts";

/** Mode immediate has no rounds that anybody could watch: its number is null. */
export function roundState(run: RunSession) {
  const { contributions, ...state } = run.round();
  return {
    state: { ...state, round: state.mode === "immediate" ? null : state.round },
    contributions: contributions.map((each) => ({ ...each, gradient_norm: sayable(each.gradient_norm) })),
  };
}
