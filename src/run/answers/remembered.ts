/**
 * Encodes a run's memory of its answers as metadata of a snapshot: answers to keyed requests, the latest steps, and
 * the id of the last event. Checkpoints that clients download or upload have none of it.
 */
import { z } from "zod";
import type { StepAnswer } from "../api/steps.ts";
import { answerText, readAnswer } from "./answer_text.ts";
import { areMany } from "./norms.ts";
import { Replies } from "./replies.ts";

const REPLIES = "stepwell_replies";
const STEPS = "stepwell_steps";
const LAST_EVENT = "stepwell_last_event";
/** Metadata keys that checkpoints do not have. */
export const REMEMBERED: readonly string[] = [REPLIES, STEPS, LAST_EVENT];
/** Characters of the steps in a snapshot: enough for all remembered steps, unless the run has many variables. */
const STEPS_LENGTH_MAX = 64 * 1024;

const SavedReply = z.strictObject({ key: z.string(), hash: z.string(), at: z.number(), answer: z.string() });

export interface Remembered {
  readonly replies: Replies;
  /** Oldest first. */
  readonly steps: readonly StepAnswer[];
  /** Id of the last event; undefined if readers must be told that events are missing. */
  readonly lastEvent: string | undefined;
}

export function rememberedMetadata(
  { replies: { all }, steps, lastEvent }: Remembered,
): Readonly<Record<string, string>> {
  const texts: string[] = [];
  let length = 0;
  for (const step of steps.toReversed()) {
    // Their figures alone might take more.
    if (areMany(step.variables) && step.variables.norms.length > STEPS_LENGTH_MAX / 25) break;
    const text = answerText(step);
    length += text.length;
    if (length > STEPS_LENGTH_MAX) break;
    texts.unshift(text);
  }
  return {
    ...all.length > 0 && { [REPLIES]: JSON.stringify(all) },
    ...texts.length > 0 && { [STEPS]: `[${texts.join()}]` },
    ...lastEvent !== undefined && { [LAST_EVENT]: lastEvent },
  };
}

/** Throws for metadata that this service did not write. */
export function readRemembered(metadata: ReadonlyMap<string, string>): Remembered {
  const replies = z.array(SavedReply).parse(JSON.parse(metadata.get(REPLIES) ?? "[]"));
  const steps = readAnswer<StepAnswer[]>(metadata.get(STEPS) ?? "[]");
  return { replies: new Replies(replies), steps, lastEvent: metadata.get(LAST_EVENT) };
}
