/** Answers with the description of a run. That of a run with many variables is long, and written in slices. */
import type { RunDescription } from "../../src/run/api/run_description.ts";
import { type JsonPieces, plainJson, recordJson } from "../../src/wire/json_writer.ts";
import { answerJson, type AnswerOptions } from "./answer_json.ts";
import { answerPieces } from "./answer_pieces.ts";
import type { AppContext } from "./context.ts";
import { describeRun, describeVariable, type Optimizers } from "./describe_run.ts";

/** Variables in a piece. A description with fewer is short. */
const PIECE = 200;

export function answerRun(
  c: AppContext,
  run: RunDescription,
  registry: Optimizers,
  options: AnswerOptions,
): Response | Promise<Response> {
  return run.variables.length < PIECE
    ? answerJson(c, describeRun(run, registry), options)
    : answerPieces(c, runJson(run, registry), options);
}

/** What `JSON.stringify` writes of the description that {@link describeRun} gives. */
export function runJson(run: RunDescription, registry: Optimizers): JsonPieces {
  const members = Object.entries(describeRun({ ...run, variables: [] }, registry))
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, name === "variables" ? listOf(run) : plainJson(value)] as const);
  return recordJson(members);
}

function* listOf({ variables }: RunDescription): Generator<string> {
  let before = "[";
  for (let at = 0; at < variables.length; at += PIECE) {
    const slice = variables.slice(at, at + PIECE).map(describeVariable);
    yield `${before}${JSON.stringify(slice).slice(1, -1)}`;
    before = ",";
  }
  yield variables.length === 0 ? "[]" : "]";
}
