/**
 * The largest bodies that a run can use: they follow from its numbers, and from the names of its variables.
 *
 * Invariant: a body with every variable once, however its names are escaped and its numbers written, is within them.
 */
import { HEADER_BYTES_MAX } from "../../wire/safetensors_header.ts";
import type { RunState } from "./state.ts";

export type BodyFormat = "json" | "safetensors";

/** Allowance of a body for metadata and white space, beside its names and numbers. */
const SLACK_BYTES = 1024 ** 2;
/** The same of a header: other tools write long metadata. */
const HEADER_SLACK_BYTES = 4 * 1024 ** 2;
/** Maximum bytes per number: float64 with repeated rows; a nested JSON number with its indentation. */
const BYTES_PER_NUMBER = { safetensors: 16, json: 40 } as const;
/** The longest form of a UTF-16 unit in JSON: `\u002f`. */
const BYTES_PER_UNIT = 6;
/** Values, indices and scales. */
const PARTS = 3;
/** Suffix, keys, dtype, offsets and white space of a part. */
const PART_BYTES = 200;
/** A dimension with its white space. */
const DIMENSION_BYTES = 20;

/** Bytes of the names and shapes of a body with all parts of all variables. */
export function namesBytes({ variables }: Pick<RunState, "variables">): number {
  return variables.values().reduce(
    (sum, { name, shape }) =>
      sum + PARTS * (BYTES_PER_UNIT * name.length + PART_BYTES + DIMENSION_BYTES * (shape.length + 1)),
    0,
  );
}

export class BodyLimits {
  readonly #state: RunState;
  readonly #names: number;

  constructor(state: RunState) {
    this.#state = state;
    this.#names = namesBytes(state);
  }

  /** The largest decoded body in bytes. */
  bodyBytesMax(format: BodyFormat): number {
    return SLACK_BYTES + this.#names + BYTES_PER_NUMBER[format] * this.#state.bytes / 4;
  }

  /** The longest header of a safetensors body in bytes. */
  get headerBytesMax(): number {
    return Math.min(HEADER_BYTES_MAX, HEADER_SLACK_BYTES + this.#names);
  }
}
