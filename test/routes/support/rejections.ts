/**
 * Tables of requests that must be refused, and the rows that many operations share. Each row breaks one rule.
 */
import type { ErrorCode } from "../../../src/errors.ts";
import { f32, file, JSON_TYPE, rawFile } from "./harness.ts";
import { asToken } from "./tokens.ts";

export interface Rejection {
  readonly what: string;
  readonly code: ErrorCode;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Replaces the operation's own. */
  readonly path?: string;
  /** A part of the path of an issue. */
  readonly at?: string;
}

export interface Target {
  readonly method: string;
  readonly path: string;
  readonly takesFiles: boolean;
  /** Whether a token may do it that may only read. */
  readonly isRead?: boolean;
  /** An accepted body: shows that only the broken rule causes the refusal. */
  readonly good: unknown;
  readonly rejections: readonly Rejection[];
}

export function row(
  what: string,
  code: ErrorCode,
  body: unknown,
  more: Pick<Rejection, "headers" | "path" | "at"> = {},
): Rejection {
  return { what, code, body, ...more };
}

/** The statuses of the contract, written here on purpose instead of read from the catalogue. */
export const STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  malformed_json: 400,
  malformed_safetensors: 400,
  malformed_encoding: 400,
  malformed_header: 400,
  incomplete_body: 400,
  unauthorized: 401,
  forbidden: 403,
  not_acceptable: 406,
  unknown_group: 404,
  run_exists: 409,
  version_mismatch: 412,
  body_too_large: 413,
  unsupported_media_type: 415,
  invalid_request: 422,
  unknown_class: 422,
  invalid_config: 422,
  unknown_variable: 422,
  shape_mismatch: 422,
  dtype_mismatch: 422,
  index_out_of_range: 422,
  non_finite_gradient: 422,
  invalid_number: 422,
  no_gradients: 422,
  sparse_with_constraint: 422,
  invalid_weights: 422,
  invalid_loss: 422,
  loss_too_large: 422,
  run_too_large: 422,
  out_of_memory: 503,
};

const text = (body: string): Uint8Array => new TextEncoder().encode(body);
const asJson = { "Content-Type": JSON_TYPE };
export const KERNEL = [[1, 2, 3], [4, 5, 6]];

const names = (count: number) => Array.from({ length: count }, (_, i) => `"a long name ${i}":1`).join();

/** Refusals of every operation by the token of the request. */
export function tokens({ path, good, isRead }: Pick<Target, "path" | "good" | "isRead">): Rejection[] {
  const by = (what: string, code: ErrorCode, headers: Readonly<Record<string, string>>) =>
    row(what, code, good ?? {}, { headers });
  return [
    by("no token", "unauthorized", { Authorization: "" }),
    by("an unknown token", "unauthorized", asToken("stranger")),
    by("a password", "malformed_header", { Authorization: "Basic cm9vdDpyb290" }),
    ...path.startsWith("/v1/runs") ? [by("a token without the run", "forbidden", asToken("elsewhere"))] : [],
    ...isRead ? [] : [by("a token without the scope", "forbidden", asToken("reader"))],
  ];
}

/** Refusals of every operation that contributes, by what the token is bound to. */
export const contributing = (good: object): Rejection[] => [
  row("the client of another token", "forbidden", { ...good, client_id: "phone-8" }, {
    headers: asToken("bound"),
    at: "client_id",
  }),
  row("a step past the round with a token that only contributes", "forbidden", good, {
    headers: asToken("bound"),
    path: "?aggregate=false",
  }),
];

/** Refusals of every operation with a body. */
export function common(target: Target): Rejection[] {
  const { good, takesFiles } = target;
  const json = JSON.stringify(good);
  return [
    ...tokens(target),
    row("malformed JSON", "malformed_json", "{"),
    row("JSON with a tail", "malformed_json", `${json}]`),
    row("NaN as a literal", "malformed_json", '{"x":NaN}'),
    row("JSON cut off", "malformed_json", json.slice(0, -1)),
    row("an empty body", "malformed_json", ""),
    row("a name twice", "malformed_json", `{"x":1,${json.slice(1, -1)},"x":2}`),
    row("arrays in arrays without end", "malformed_json", `{"x":${"[".repeat(20_000)}`),
    row("a long body with a fault at its end", "malformed_json", `{"x":"${"y".repeat(100_000)}",}`),
    row("a long body with too many names", "invalid_request", `{${names(6000)}}`),
    row("bytes that are not UTF-8", "malformed_json", Uint8Array.of(0xff, 0xfe), { headers: asJson }),
    row("an array", "invalid_request", []),
    row("null", "invalid_request", "null"),
    row("an empty object", "invalid_request", {}),
    row("an unknown field", "invalid_request", { ...good as object, surprise: 1 }),
    row("no Content-Type", "unsupported_media_type", text(json), { headers: { "Content-Type": "" } }),
    row("text/plain", "unsupported_media_type", json, { headers: { "Content-Type": "text/plain" } }),
    row("a form", "unsupported_media_type", "a=1", {
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
    }),
    row("a charset but UTF-8", "unsupported_media_type", json, {
      headers: { "Content-Type": "application/json; charset=latin1" },
    }),
    row("an unknown encoding", "unsupported_media_type", json, { headers: { "Content-Encoding": "rot13" } }),
    row("a wrong encoding", "malformed_encoding", json, { headers: { "Content-Encoding": "gzip" } }),
    row("a malformed If-Match", "malformed_header", good, { headers: { "If-Match": "v1" } }),
    row("another version", "version_mismatch", good, { headers: { "If-Match": '"v7"' } }),
    row("a weak tag", "version_mismatch", good, { headers: { "If-Match": 'W/"v1"' } }),
    row("a version that must not be", "version_mismatch", good, { headers: { "If-None-Match": '"v1"' } }),
    row("an unknown query parameter", "invalid_request", good, { path: "?surprise=1", at: "query" }),
    ...takesFiles ? files() : [
      row(
        "safetensors where only JSON is taken",
        "unsupported_media_type",
        file({ bias: f32([3], [1, 2, 3]) }),
      ),
    ],
  ];
}

/** Refusals of every operation that takes safetensors. */
export function files(): Rejection[] {
  const bytes = [0, 0, 0, 0];
  const entry = (shape: string, offsets: string) =>
    `{"bias":{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}}`;
  const bad = (what: string, body: Uint8Array) => row(what, "malformed_safetensors", body);
  return [
    bad("a header that is no JSON", rawFile("{bias}", bytes)),
    bad("a header that is an array", rawFile("[]", [])),
    bad("a header of no bytes", rawFile("", [])),
    bad("a header longer than the format allows", rawFile("{}", [], 2 ** 40)),
    bad("a shape that lies", rawFile(entry("[3]", "[0,4]"), bytes)),
    bad("a shape that overflows", rawFile(entry("[9007199254740991,9007199254740991]", "[0,4]"), bytes)),
    bad("a negative dimension", rawFile(entry("[-1]", "[0,4]"), bytes)),
    bad("a hole", rawFile(entry("[1]", "[4,8]"), [...bytes, ...bytes])),
    bad("a tail", rawFile(entry("[1]", "[0,4]"), [...bytes, 1])),
    bad("offsets that run backwards", rawFile(entry("[1]", "[4,0]"), bytes)),
    row("a file of no bytes", "incomplete_body", new Uint8Array(0)),
    row("a file cut off in its prefix", "incomplete_body", Uint8Array.of(8, 0, 0)),
    row("a file cut off in its header", "incomplete_body", rawFile("{}", [], 64)),
    row("a file cut off in its tensors", "incomplete_body", rawFile(entry("[3]", "[0,12]"), bytes)),
    row(
      "a torch file",
      "malformed_safetensors",
      Uint8Array.from({ length: 103 }, (_, at) => [128, 4, 149][at] ?? 0),
    ),
    row("a zip file", "malformed_safetensors", Uint8Array.of(80, 75, 3, 4, 20, 0, 0, 0, 8, 8)),
  ];
}

/** Refusals of every operation that takes tensors by name. */
export const named = (member: string): Rejection[] => [
  row("an unknown variable", "unknown_variable", { [member]: { nope: [1] } }),
  row("a variable named __proto__", "unknown_variable", `{"${member}":{"__proto__":[1]}}`),
  row("an unknown variable in a file", "unknown_variable", file({ nope: f32([1], [1]) })),
  row("a wrong length", "shape_mismatch", { [member]: { bias: [1, 2] } }),
  row("a wrong rank", "shape_mismatch", { [member]: { bias: [[1, 2, 3]] } }),
  row("a vector for a scalar", "shape_mismatch", { [member]: { scale: [1] } }),
  row("a scalar for a vector", "shape_mismatch", { [member]: { bias: 1 } }),
  row("ragged rows", "shape_mismatch", { [member]: { kernel: [[1, 2, 3], [4, 5]] } }),
  row("a wrong shape in a file", "shape_mismatch", file({ kernel: f32([3, 2], [1, 2, 3, 4, 5, 6]) })),
  row("a text for a number", "invalid_number", { [member]: { bias: [1, "2", 3] } }, {
    at: `${member}.bias.1`,
  }),
  row("null for a number", "invalid_number", { [member]: { bias: [1, null, 3] } }),
  row("true for a number", "invalid_number", { [member]: { bias: [1, true, 3] } }),
  row("a number that float32 cannot hold", "invalid_number", { [member]: { bias: [1, 1e39, 3] } }),
  row("a number that no float holds", "invalid_number", `{"${member}":{"bias":[1,1e999,3]}}`),
  row("an object that is no tensor", "invalid_request", { [member]: { bias: { a: 1 } } }),
  row("base64 of another length", "shape_mismatch", {
    [member]: { bias: { dtype: "float32", shape: [3], base64: "AAAA" } },
  }),
  row("base64 that is none", "invalid_request", {
    [member]: {
      bias: {
        dtype: "float32",
        shape: [3],
        base64: "!!!!!!!!!!!!!!!!",
      },
    },
  }),
  row("base64 of an unknown dtype", "invalid_request", {
    [member]: { bias: { dtype: "complex64", shape: [3], base64: "" } },
  }),
  row("tensors in an array", "invalid_request", { [member]: [1] }, { at: member }),
  row("a good tensor before a bad one", "shape_mismatch", { [member]: { kernel: KERNEL, bias: [1] } }),
  row("Accept of nothing we have", "not_acceptable", { [member]: { bias: [1, 1, 1] } }, {
    headers: { Accept: "image/png", Prefer: "return=representation" },
  }),
];
