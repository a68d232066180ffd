/**
 * A request as plain data, so that the same request can be sent again, after a crash and to the twin. Not a client.
 */
import { createHash } from "node:crypto";

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
}

/** An answer whose body has arrived completely. */
export interface Answer {
  readonly status: number;
  /** The run's version in the answer's ETag, or -1 without one. */
  readonly version: number;
  readonly replayed: boolean;
  readonly body: Uint8Array<ArrayBuffer>;
}

export const FILE_TYPE = "application/vnd.safetensors";
const JSON_TYPE = "application/json";

export function jsonCall(
  method: string,
  path: string,
  value: unknown,
  headers: Record<string, string> = {},
): Call {
  const body = new TextEncoder().encode(JSON.stringify(value));
  return { method, path, headers: { "Content-Type": JSON_TYPE, ...headers }, body };
}

export function fileCall(
  method: string,
  path: string,
  body: Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Call {
  return { method, path, headers: { "Content-Type": FILE_TYPE, ...headers }, body };
}

/** A GET that asks for safetensors where the operation has tensors, and for JSON elsewhere. */
export function getCall(path: string): Call {
  return { method: "GET", path, headers: { Accept: `${FILE_TYPE}, */*;q=0.1` } };
}

export function requestInit({ method, headers, body }: Call): RequestInit {
  // A Request that is not sent over a socket has no Content-Length of its own.
  const length = body && { "Content-Length": String(body.length) };
  return { method, headers: { ...headers, ...length }, ...body && { body } };
}

export async function answerOf(response: Response): Promise<Answer> {
  const body = await response.bytes();
  const version = Number(/^"v(\d+)"$/.exec(response.headers.get("ETag") ?? "")?.[1] ?? -1);
  return {
    status: response.status,
    version,
    replayed: response.headers.get("Idempotency-Replayed") === "true",
    body,
  };
}

export const textOf = ({ body }: Answer): string => new TextDecoder().decode(body);

/** The `code` of a refusal. */
export const codeOf = (answer: Answer): string => JSON.parse(textOf(answer)).code;

/** A digest of everything that two services must agree on: all bytes except the time of creation. */
export function digestOf(bytes: Uint8Array<ArrayBuffer>): string {
  const hash = createHash("sha256");
  const headEnd = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (headEnd > bytes.length) return hash.update(bytes).digest("hex");
  const head = new TextDecoder().decode(bytes.subarray(8, headEnd));
  const moment = /\\"created_at\\":\\"[^"]*\\"/;
  return hash.update(head.trimEnd().replace(moment, "")).update(bytes.subarray(headEnd)).digest("hex");
}
