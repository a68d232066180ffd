/** Every header that the service reads, with values that are nearly right. */
import fc from "fast-check";
import { FILE_TYPE, JSON_TYPE } from "../../routes/support/harness.ts";
import { damaged, piled, repeated, seldom } from "./texts.ts";

interface HeaderValues {
  readonly inputs: fc.Arbitrary<string>;
  readonly extremes: readonly string[];
}

const header = (values: readonly string[], pieces: readonly string[]): HeaderValues => {
  const begins = ["", '"', values[0] ?? ""];
  return {
    inputs: seldom(
      fc.oneof(
        { weight: 3, arbitrary: fc.constantFrom(...values) },
        damaged(fc.constantFrom(...values)),
        piled(pieces, 8),
      ),
      repeated(pieces, { begins }),
    ),
    // The server takes some 90 kB of headers.
    extremes: begins.flatMap((begin) =>
      pieces.map((piece) => `${begin}${piece.repeat(Math.floor(80_000 / piece.length))} x`)
    ),
  };
};

const few = (...values: readonly string[]): HeaderValues => ({
  inputs: fc.constantFrom(...values),
  extremes: [],
});

const TYPES = [JSON_TYPE, FILE_TYPE, "application/octet-stream", `${JSON_TYPE}; charset=utf-8`, "text/plain"];
/** What every header may say. */
export const HEADERS: Readonly<Record<string, HeaderValues>> = {
  Accept: header(
    ["*/*", JSON_TYPE, `${FILE_TYPE}, */*;q=0.1`, `${JSON_TYPE};q=0, *;q=.2`],
    ['"', '\\"', "\\", ",", ";", "a/b", "*/*", "q=", "0.5", " "],
  ),
  Prefer: header(
    ["return=representation", "wait=1", 'wait="1"', "return=minimal, wait=100", "respond-async"],
    ['"', '\\"', ",", ";", "=", "wait", "return", "1", " ", "representation"],
  ),
  "If-Match": header(['"v0"', '"v1"', "*", 'W/"v1"', '"v0", "v1"'], [
    '"',
    "W/",
    ",",
    "*",
    '"v1"',
    " ",
    '"v1",',
  ]),
  "If-None-Match": header(['"v0"', '"v1"', "*", 'W/"v1"'], ['"', "W/", ",", "*", '"v1"', " "]),
  "Idempotency-Key": header(["a", "b", '"c"', "x".repeat(255)], ["a", '"', " ", "\u00e9"]),
  "Last-Event-ID": header(["0.0", "1.1", "-1.0", "999999999999999.999999"], ["1", ".", "-", "9"]),
  Origin: header(["https://example.org", "http://localhost", "null", "https://evil.example"], [
    "http://",
    "a",
    ":",
  ]),
  Host: header(["localhost", "127.0.0.1:8080", "[::1]", "evil.example"], ["[", "]", ":", "a", ".", "1"]),
  "Sec-Fetch-Site": few("same-origin", "none", "cross-site", "same-site", ""),
  "Access-Control-Request-Method": few("POST", "PUT", "x", ""),
  "Access-Control-Request-Headers": header(["content-type, idempotency-key"], [",", "a", " "]),
  Authorization: header(["Bearer abc", "Basic YTpi"], ["Bearer ", "a", "=", " "]),
  "X-Request-Id": header(["abc", "a b"], ["a", "\u00ff"]),
  "X-Forwarded-Prefix": header(["/a", "/a/b"], ["/", "..", "a"]),
  "Content-Encoding": few("identity", "gzip", "br", "zstd", "deflate", "x", "gzip, gzip", ""),
  "Content-Length": few("0", "5", "-1", "1e3", "99999999999999999999", "9007199254740991", "x"),
  "Content-Type": header(TYPES, [";", "charset=", '"', "utf-8", ",", "application/", "json"]),
};

/** Values of headers are bytes. */
export const sayable = (text: string) => text.replaceAll(/[^\x20-\x7e\x80-\xff]/g, "?").trim();
/** One or two of them: with all, almost every request would be refused for the first. */
export const headers = fc.array(
  fc.oneof(
    ...Object.entries(HEADERS).map(([name, { inputs }]) =>
      inputs.map((text) => [name, sayable(text)] as const)
    ),
  ),
  { maxLength: 2 },
).map((pairs): Readonly<Record<string, string>> => Object.fromEntries(pairs));
/** Mostly none, where it is the body that is tried. */
export const seldomHeaders = seldom(fc.constant({}), headers, 3);
