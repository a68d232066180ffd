/**
 * What holds for every parser, whatever it is given: it gives a value or a refusal of its own kind, within a second,
 * and the same again for the same input. A parser is one entry of a table (parsers.ts).
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { ERRORS, StepwellError } from "../../../src/errors.ts";

/** An input may take so long at most, in milliseconds. */
const HANG_MS = 1000;
/** A busy machine makes anything slow now and then: a hang is one each time. */
const HANG_TRIES = 3;

export interface Checks {
  readonly runs: number;
  readonly seed: number;
}

/** A parser with its inputs, whatever their type. */
export interface Parser {
  readonly name: string;
  /** How many inputs it gets, compared with the others. */
  readonly share: number;
  /** Throws for an input that breaks the law. Returns how many were tried, and how many were not refused. */
  check(checks: Checks): Promise<{ tried: number; accepted: number }>;
}

interface Definition<Input> {
  readonly name: string;
  readonly inputs: fc.Arbitrary<Input>;
  /** Inputs that are tried each time: large in one dimension. */
  readonly extremes?: readonly Input[];
  readonly share?: number;
  /**
   * Makes a reader. Two are made, and both get the same inputs, so that one may keep a state. What they give must be
   * equal; a promise is awaited.
   */
  readonly open: () => Reader<Input>;
  /** Whether an error is a refusal. Default: one of the catalogue that is the caller's mistake. */
  readonly isRefusal?: (error: unknown) => boolean;
}

interface Reader<Input> {
  read(input: Input): unknown;
  close?(): void;
}

export function parser<Input>(definition: Definition<Input>): Parser {
  const { name, inputs, extremes = [], share = 1, open, isRefusal = isCallersMistake } = definition;
  return {
    name,
    share,
    async check({ runs, seed }) {
      const readers = [open(), open()] as const;
      let tried = 0, accepted = 0;
      try {
        const law = async (input: Input) => {
          const outcomes = await bothOf(readers, input, isRefusal);
          tried += 1;
          if ("value" in outcomes[0]) accepted += 1;
          assert.ok(isDeepStrictEqual(...outcomes), `two outcomes of one input: ${shown(outcomes)}`);
        };
        for (const extreme of extremes) {
          await law(extreme).catch((cause) => {
            throw new Error(`It breaks the law: ${shown(extreme)}`, { cause });
          });
        }
        await fc.assert(fc.asyncProperty(inputs, law), { numRuns: runs, seed });
      } finally {
        for (const reader of readers) reader.close?.();
      }
      return { tried, accepted };
    },
  };
}

/** A parser without a state. */
export function pure<Input>(
  definition: Omit<Definition<Input>, "open"> & { readonly read: (input: Input) => unknown },
): Parser {
  return parser({ ...definition, open: () => definition });
}

function isCallersMistake(error: unknown): boolean {
  return error instanceof StepwellError && error.code in ERRORS && ERRORS[error.code].status < 500;
}

type Outcome = { readonly value: unknown } | { readonly refusal: unknown };

async function bothOf<Input>(
  readers: readonly [Reader<Input>, Reader<Input>],
  input: Input,
  isRefusal: (error: unknown) => boolean,
): Promise<readonly [Outcome, Outcome]> {
  for (let tries = 1;; tries++) {
    const outcomes: Outcome[] = [];
    let ms = 0;
    for (const reader of readers) {
      const start = performance.now();
      outcomes.push(await outcomeOf(reader, input, isRefusal));
      ms = Math.max(ms, performance.now() - start);
    }
    if (ms < HANG_MS) return outcomes as [Outcome, Outcome];
    assert.ok(tries < HANG_TRIES, `it takes ${Math.round(ms)} ms, also the ${tries}th time`);
  }
}

async function outcomeOf<Input>(
  reader: Reader<Input>,
  input: Input,
  isRefusal: (error: unknown) => boolean,
): Promise<Outcome> {
  try {
    const value = reader.read(input);
    return { value: value instanceof Promise ? await value : value };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const { code, message, issues } = error as StepwellError;
    return { refusal: { code, message, issues } };
  }
}

const shown = (value: unknown) =>
  Deno.inspect(value, { depth: 6, iterableLimit: 20, strAbbreviateSize: 400 });
