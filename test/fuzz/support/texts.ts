/**
 * Inputs for parsers: texts and bytes that are nearly right, and those that are large in one dimension: deep, wide,
 * long, repeated.
 */
import { joined } from "../../../src/wire/joined.ts";
import fc from "fast-check";

interface Edit {
  /** Where, as a part of the whole. */
  readonly at: number;
  readonly removed: number;
  readonly inserted: string;
}

/** Letters that mean something to one parser or another. */
export const STRANGE: readonly string[] = [
  ...`{}[]()<>:;,."'\\/*+-=%#&?!|~^@$\` \t\n\r\0`,
  "\u007f",
  "\u0080",
  "\u00ff",
  "\u2028",
  "\ufeff",
  "\ud800",
  "💥",
  "null",
  "true",
  "-0",
  "1e309",
  "1e-400",
  "9007199254740993",
  "0x1",
  "NaN",
  "__proto__",
  "constructor",
  "toString",
  "\\u0000",
  "\\ud800",
];

export const strange = fc.constantFrom(...STRANGE);

const part = fc.integer({ min: 0, max: 1000 }).map((thousandths) => thousandths / 1000);

const edit: fc.Arbitrary<Edit> = fc.record({
  at: part,
  removed: fc.oneof({ weight: 4, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(60) }),
  inserted: fc.oneof(fc.constant(""), strange, fc.string({ maxLength: 4, unit: "binary" })),
});

/** A text of `texts` with up to three changes, or none. */
export function damaged(texts: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(texts, fc.array(edit, { maxLength: 3 })).map(([text, edits]) =>
    edits.reduce((whole, { at, removed, inserted }) => {
      const from = Math.floor(at * whole.length);
      return whole.slice(0, from) + inserted + whole.slice(from + removed);
    }, text)
  );
}

/** Bytes of `wholes` with flipped bits, cut off, or with other bytes inside. */
export function damagedBytes(
  wholes: fc.Arbitrary<Uint8Array<ArrayBuffer>>,
): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const change = fc.tuple(part, fc.constantFrom("flip", "cut", "insert", "remove"), fc.nat(255));
  return fc.tuple(wholes, fc.array(change, { maxLength: 3 })).map(([whole, changes]) =>
    changes.reduce((bytes, [at, how, by]) => {
      const place = Math.floor(at * bytes.length), rest = bytes.subarray(place);
      if (how === "cut") return bytes.slice(0, place);
      if (how === "insert") return joined([bytes.subarray(0, place), Uint8Array.of(by), rest]);
      if (how === "remove") return joined([bytes.subarray(0, place), rest.subarray(1 + by % 9)]);
      const copy = bytes.slice();
      copy[place] = (copy[place] ?? 0) ^ (1 << by % 8);
      return copy;
    }, whole)
  );
}

/** Some of `pieces` in any order, with strange ones between them. */
export function piled(pieces: readonly string[], maxLength = 30): fc.Arbitrary<string> {
  const piece = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...pieces) },
    strange,
    fc.double().map(String),
  );
  return fc.array(piece, { maxLength }).map((parts) => parts.join(""));
}

interface Repetition {
  readonly begins?: readonly string[];
  readonly ends?: readonly string[];
  readonly count?: number;
}

/** One piece again and again, between a begin and an end: what costs more than its length shows here. */
export function repetitions(
  pieces: readonly string[],
  { begins = [""], ends = ["", "x"], count = 20_000 }: Repetition = {},
): string[] {
  return begins.flatMap((begin) =>
    pieces.flatMap((piece) => ends.map((end) => begin + piece.repeat(count) + end))
  );
}

/** The same with fewer of them: around bounds, and some. */
export function repeated(
  pieces: readonly string[],
  { begins = [""], ends = ["", "x"] }: Repetition = {},
): fc.Arbitrary<string> {
  return fc.tuple(
    fc.constantFrom(...begins),
    fc.constantFrom(...pieces),
    fc.constantFrom(15, 16, 17, 63, 64, 65, 255, 256, 1000, 4000),
    fc.constantFrom(...ends),
  ).map(([begin, piece, count, end]) => begin + piece.repeat(count) + end);
}

/** Mostly `common`; the long ones, which take long to make, now and then. */
export function seldom<T>(common: fc.Arbitrary<T>, rare: fc.Arbitrary<T>, weight = 200): fc.Arbitrary<T> {
  return fc.oneof({ weight, arbitrary: common }, { weight: 1, arbitrary: rare });
}

/** Lengths of the pieces in which bytes arrive. */
export const cuts = fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 9 }), fc.constant(64 << 10));

export function* chunks(bytes: Uint8Array<ArrayBuffer>, size: number): Generator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, Math.min(bytes.length, at + size));
}

/** A JSON value with names and values of `names` and `leaves` in it. */
export function jsonOf(names: readonly string[], leaves: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const name = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...names) },
    fc.constantFrom("__proto__", "constructor", "", "a.b"),
    fc.string({ maxLength: 5 }),
  );
  return fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthIdentifier: "json" },
      { weight: 3, arbitrary: leaves },
      fc.array(tie("value"), { maxLength: 4, depthIdentifier: "json" }),
      fc.dictionary(name, tie("value"), { maxKeys: 5, depthIdentifier: "json" }),
    ),
  })).value;
}

/** Values of JSON at the bounds of numbers and texts. */
export const leaf: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown[]>(
    null,
    true,
    false,
    0,
    -0,
    1,
    -1,
    0.5,
    3,
    1e39,
    -1e308,
    5e-324,
    2 ** 53,
    -1.5,
    "",
    [],
  ),
  fc.constantFrom("NaN", "Infinity", "float32", "*", "0"),
  fc.double(),
  fc.nat(8),
  fc.string({ maxLength: 6, unit: "binary" }),
);

/** A value of `whole` in which some members were replaced, removed or added. */
export function twisted(whole: unknown, others: fc.Arbitrary<unknown> = leaf): fc.Arbitrary<unknown> {
  const change = fc.tuple(part, fc.constantFrom("put", "drop", "add"), others);
  return fc.array(change, { maxLength: 3 }).map((changes) => {
    let value = structuredClone(whole);
    for (const [at, how, given] of changes) {
      // A copy, because what was put in once can be put into itself.
      const other = structuredClone(given);
      const places = placesOf(value);
      const place = places[Math.floor(at * (places.length - 1))];
      if (place === undefined) value = other;
      else if (how === "drop") {
        if (Array.isArray(place.of)) place.of.splice(Number(place.name), 1);
        else delete place.of[place.name];
      } else if (how === "put") place.of[place.name] = other;
      else if (Array.isArray(place.of)) place.of.push(other);
      else place.of["surprise"] = other;
    }
    return value;
  });
}

interface ValuePlace {
  // deno-lint-ignore no-explicit-any -- an object or an array
  readonly of: any;
  readonly name: string;
}

function placesOf(value: unknown): ValuePlace[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => [{ of: value, name }, ...placesOf(member)]);
}
