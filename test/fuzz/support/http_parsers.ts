/**
 * Whole requests to the service, as its app takes them: paths, queries, headers and bodies of every operation. Two
 * services get the same requests one after the other, and must go through the same states.
 */
import fc from "fast-check";
import { StepwellError } from "../../../src/errors.ts";
import { FILE_TYPE, JSON_TYPE } from "../../routes/support/harness.ts";
import { fileBody, jsonBody } from "./http_bodies.ts";
import { HEADERS, headers, sayable, seldomHeaders } from "./http_headers.ts";
import { operation, path, query } from "./http_targets.ts";
import { type Parser, parser } from "./law.ts";
import { type Sent, Served } from "./served.ts";
import { repetitions } from "./texts.ts";

const typed = (
  type: string,
  headers: Readonly<Record<string, string>>,
  body: { readonly length: number },
) => ({
  "Content-Type": type,
  "Content-Length": String(typeof body === "string" ? new TextEncoder().encode(body).length : body.length),
  ...headers,
});

const service = {
  open: () => new Served(),
  isRefusal: (error: unknown) => error instanceof StepwellError,
};

export const HTTP_PARSERS: readonly Parser[] = [
  parser({
    name: "paths and queries",
    extremes: repetitions(["/", "a", "%41", "..%2f", "a/", "é", "?", "&", "limit=1&", "="], {
      begins: ["/", "/v1/runs/", "/v1/runs?", "/v1/runs/demo/variables?"],
    }).map((path) => ({ method: "GET", path, headers: {}, body: undefined })),
    inputs: fc.tuple(fc.oneof(operation, path.map((path) => ({ method: "GET", path }))), query).map((
      [{ method, path }, query],
    ): Sent => ({ method, path: path + query, headers: {}, body: undefined })),
    share: 8,
    ...service,
  }),
  parser({
    name: "headers",
    extremes: Object.entries(HEADERS).flatMap(([name, { extremes }]) =>
      extremes.map((text): Sent => ({
        method: "GET",
        path: name === "Last-Event-ID" ? "/v1/runs/demo/events" : "/v1/runs/demo/variables",
        headers: { [name]: sayable(text) },
        body: undefined,
      }))
    ),
    inputs: fc.tuple(operation, headers).map(([{ method, path }, headers]): Sent => ({
      method,
      path,
      headers,
      body: undefined,
    })),
    share: 10,
    ...service,
  }),
  parser({
    name: "JSON requests",
    inputs: fc.tuple(jsonBody, seldomHeaders).map(([{ method, path, body }, headers]): Sent => ({
      method,
      path,
      headers: typed(JSON_TYPE, headers, body),
      body,
    })),
    share: 10,
    ...service,
  }),
  parser({
    name: "safetensors requests",
    inputs: fc.tuple(fileBody, seldomHeaders).map(([{ method, path, body }, headers]): Sent => ({
      method,
      path,
      headers: typed(FILE_TYPE, headers, body),
      body,
    })),
    share: 6,
    ...service,
  }),
];
