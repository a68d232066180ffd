/** Answers with JSON that is written in slices, between which others run. */
import { nextTurn, Slices } from "../../src/slices.ts";
import { joined } from "../../src/wire/joined.ts";
import type { JsonPieces } from "../../src/wire/json_writer.ts";
import { answerJsonText, type AnswerOptions } from "./answer_json.ts";
import type { AppContext } from "./context.ts";
import { etagOf } from "./preconditions.ts";

/** Letters that are encoded at a time, and how long it takes to write one. */
const PART_LENGTH = 64 * 1024, LETTER_UNITS = 20;

const encoder = new TextEncoder();

/** What the pieces are made of must not change meanwhile. */
export async function answerPieces(
  c: AppContext,
  pieces: JsonPieces,
  { status = 200, run }: AnswerOptions = {},
): Promise<Response> {
  if (run) c.header("ETag", etagOf(run));
  const slices = new Slices(), parts: Uint8Array<ArrayBuffer>[] = [];
  let text = "";
  for (const piece of pieces) {
    text += piece;
    if (text.length < PART_LENGTH) continue;
    const units = LETTER_UNITS * text.length;
    parts.push(encoder.encode(text));
    text = "";
    if (slices.isOver(units)) await nextTurn();
  }
  const last = encoder.encode(text);
  return answerJsonText(c, parts.length === 0 ? last : joined([...parts, last]), status);
}
