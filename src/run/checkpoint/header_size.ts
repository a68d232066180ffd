/**
 * The size of a checkpoint's header, before there is a checkpoint: no run is made whose checkpoint nobody could read.
 *
 * Invariant: {@link headerBytes} is at least the length of the header that checkpoint.ts makes of such a run, now and
 * after any number of steps.
 */
import { Buffer } from "node:buffer";
import { refusal } from "../../errors.ts";
import { serialize } from "../../families/mechanism/family.ts";
import { slotsOfAnyVariant } from "../../families/optimizers/optimizer.ts";
import { saveOptimizer } from "../../families/optimizers/saved.ts";
import { atOnce, inPieces } from "../../slices.ts";
import { exactJson } from "../../wire/exact_json.ts";
import { HEADER_BYTES_MAX } from "../../wire/safetensors_header.ts";
import { VARIABLE_VALUES_MAX } from "./checkpoint_format.ts";
import { optimizersOf, type ResolvedSpec, serializeSpec } from "../spec/spec.ts";

/** Room for what the optimizer's config may become later. */
const SLACK_BYTES = 8 * 1024 ** 2;
/** Keys, quotes, dtype and two offsets of an entry of the header. */
const ENTRY_BYTES = 80;
/** Keys and quotes of a variable in the spec, with its role. */
const VARIABLE_BYTES = 64;
/** Keys and quotes of a created slot. */
const CREATED_BYTES = 36;
/** Keys of a group, its sparse mode, its member, slots and scalars. */
const GROUP_BYTES = 1024;
/** Counts, times and keys of the metadata. */
const FIXED_BYTES = 4096;

/** Bytes of a text in JSON, without its quotes. */
function jsonBytes(text: string): number {
  return /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/.test(text)
    ? text.length
    : Buffer.byteLength(JSON.stringify(text));
}

/** Bytes of a text in JSON that is itself a text in JSON, as everything in the metadata is. */
function nestedBytes(text: string): number {
  return jsonBytes(text) === text.length ? text.length : jsonBytes(JSON.stringify(text));
}

const nestedJsonBytes = (value: unknown) => Buffer.byteLength(JSON.stringify(exactJson(value)));

/** As {@link countingHeaderBytes}, at once. */
export const headerBytes = (spec: ResolvedSpec): number => atOnce(countingHeaderBytes(spec));

/** How long it takes to count a variable, in nanoseconds. */
const VARIABLE_UNITS = 300;

/** A bound on the header of the run's checkpoints, counted in pieces. */
function* countingHeaderBytes(spec: ResolvedSpec): Generator<number, number> {
  const { optimizer, groups, variables } = spec;
  const slotsOf = optimizersOf(spec).map(({ member }) => [...slotsOfAnyVariant(member)]);
  const slotBytes = slotsOf.map((slots) =>
    slots.reduce((sum, slot) => sum + jsonBytes(slot) + CREATED_BYTES + nestedBytes(slot), 0)
  );
  let bytes = FIXED_BYTES + nestedJsonBytes(optimizersOf(spec).map(saveOptimizer)) +
    groups.reduce(
      (sum, { name, patterns, own }) =>
        sum + GROUP_BYTES + nestedJsonBytes([name, name, patterns, [...own ?? []]]),
      0,
    ) +
    nestedJsonBytes(optimizer.member.definition ?? null) +
    nestedJsonBytes(
      serializeSpec({ ...spec, variables: [] }, serialize({ member: optimizer.member, config: {} })),
    );
  yield* inPieces(variables, VARIABLE_UNITS, ({ name, shape, constraint, role, group }) => {
    const nameBytes = jsonBytes(name), nested = nameBytes === name.length ? nameBytes : nestedBytes(name);
    const shapeBytes = shape.join().length + 2, entry = ENTRY_BYTES + nameBytes + shapeBytes;
    bytes += entry + VARIABLE_BYTES + nested + shapeBytes +
      (constraint ? nestedJsonBytes(constraint.member) : 0);
    if (role === "optimize") {
      bytes += (slotsOf[group] as string[]).length * (entry + nested) + (slotBytes[group] as number);
    }
  });
  return bytes;
}

/** Values that the variables and their slots take in the metadata. */
function headerValues(spec: ResolvedSpec): number {
  const { variables } = spec, slots = optimizersOf(spec).map(({ member }) => slotsOfAnyVariant(member).size);
  return variables.reduce(
    (sum, { shape, constraint, role, group }) =>
      sum + 4 + shape.length + (constraint ? 3 + Object.keys(constraint.member.config).length : 0) +
      (role === "optimize" ? 3 * (slots[group] as number) : 0),
    0,
  );
}

/**
 * In pieces. Throws run_too_large for a run whose checkpoint would have a longer header than readers of the format take.
 */
export function* checkingHeaderBytes(spec: ResolvedSpec): Generator<number, void> {
  const values = headerValues(spec);
  if (values > VARIABLE_VALUES_MAX) {
    const problem = `have ${values} names, dimensions and slots, must have at most ${VARIABLE_VALUES_MAX}`;
    throw refusal("run_too_large", "create the run", "variables", problem);
  }
  const bytes = yield* countingHeaderBytes(spec), max = HEADER_BYTES_MAX - SLACK_BYTES;
  if (bytes <= max) return;
  const problem = `have names and shapes that take up to ${bytes} bytes in the header of a checkpoint, ` +
    `must take at most ${max}: use fewer variables or shorter names`;
  throw refusal("run_too_large", "create the run", "variables", problem);
}
