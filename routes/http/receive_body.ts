/**
 * Receives request bodies: checks media type and size, acquires a place among the uploads, limits the time, and lets
 * src/wire decode. It knows no operation and holds no tensor.
 *
 * Invariant: the upload's place is always released.
 */
import type { z } from "@hono/zod-openapi";
import { StepwellError } from "../../src/errors.ts";
import { withoutNulls } from "../../src/nulls.ts";
import type { TensorTarget } from "../../src/tensor.ts";
import { decodedLength, readBody, readJson } from "../../src/wire/read_body.ts";
import { contentLength } from "../../src/wire/body_chunks.ts";
import { tensorFileReader } from "../../src/wire/tensor_file.ts";
import { writeTensors } from "../../src/wire/json_tensors.ts";
import type { AppContext, Services } from "./context.ts";
import { invalidRequest } from "./invalid_request.ts";
import { BYTES_TYPE, JSON_TYPE, SAFETENSORS_TYPE } from "./negotiate.ts";

type Format = "json" | "safetensors";
const FORMATS: ReadonlyMap<string, Format> = new Map([
  [JSON_TYPE, "json"],
  [SAFETENSORS_TYPE, "safetensors"],
  [BYTES_TYPE, "safetensors"],
]);

/** Receives a JSON body that fits `schema`, of at most `bytesMax` bytes and the bound of the settings. */
export async function receiveJson<S extends z.ZodType>(
  c: AppContext,
  services: Services,
  schema: S,
  { bytesMax = Infinity }: { readonly bytesMax?: number } = {},
): Promise<z.output<S>> {
  bodyFormat(c, ["json"]);
  const least = Math.min(bytesMax, services.settings.STEPWELL_JSON_BYTES_MAX);
  return parse(schema, await upload(c, services, { bytesMax: least, read: readJson }));
}

export interface TensorBody<S extends z.ZodType> {
  /** The largest body that the run accepts, by format. */
  readonly bytesMax: (format: Format) => number;
  readonly headerBytesMax: number;
  readonly target: TensorTarget;
  /** The member of a JSON body that holds the tensors. */
  readonly member: string;
  /** The schema of the whole JSON body. */
  readonly schema: S;
  /** Turns `__metadata__` of a safetensors body into the other members of a JSON body. May throw. */
  readonly fields: (metadata: ReadonlyMap<string, string>) => object;
}

/** Decodes JSON or safetensors into `target`. Returns the other members of the body, checked by `schema`. */
export async function receiveTensors<S extends z.ZodType>(
  c: AppContext,
  services: Services,
  body: TensorBody<S>,
): Promise<z.output<S>> {
  const format = bodyFormat(c, ["json", "safetensors"]);
  const { STEPWELL_JSON_BYTES_MAX, STEPWELL_BODY_BYTES_MAX } = services.settings;
  const bytesMax = Math.min(
    body.bytesMax(format),
    format === "json" ? STEPWELL_JSON_BYTES_MAX : STEPWELL_BODY_BYTES_MAX,
  );
  if (format === "safetensors") {
    let fields: z.output<S> | undefined;
    const onMetadata = (metadata: ReadonlyMap<string, string>) =>
      void (fields = parse(body.schema, { ...body.fields(metadata), [body.member]: {} }));
    const { target, headerBytesMax } = body;
    await receiveFile(c, services, { bytesMax, headerBytesMax, target, onMetadata });
    return fields as z.output<S>;
  }
  const value = await upload(c, services, { bytesMax, read: readJson });
  const fields = parse(body.schema, value);
  // Not from zod's output, which leaves out a member named __proto__.
  writeTensors((value as Record<string, unknown>)[body.member], body.target, body.member);
  return fields;
}

interface FileBody {
  readonly bytesMax: number;
  readonly headerBytesMax: number;
  readonly target: TensorTarget;
  readonly onMetadata: (metadata: ReadonlyMap<string, string>) => void;
}

/** Decodes a safetensors body into `target` as it arrives. Calls `onMetadata` before the target. */
export async function receiveFile(c: AppContext, services: Services, body: FileBody): Promise<void> {
  bodyFormat(c, ["safetensors"]);
  const { bytesMax, target, ...reading } = body;
  await upload(c, services, {
    bytesMax,
    read: async (request, options) => {
      const fileBytes = decodedLength(request.headers);
      const reader = tensorFileReader(target, { fileBytes, ...reading });
      await readBody(request, options, (chunk) => reader.write(chunk));
      reader.close();
    },
  });
}

interface Upload<T> {
  readonly bytesMax: number;
  readonly read: (request: Request, options: { bytesMax: number; signal: AbortSignal }) => Promise<T>;
}

async function upload<T>(
  c: AppContext,
  { uploads, settings }: Services,
  { bytesMax, read }: Upload<T>,
): Promise<T> {
  const request = c.req.raw;
  const length = decodedLength(request.headers);
  c.set("bytesIn", contentLength(request.headers) ?? 0);
  // Refused before it waits for a place.
  if (length !== undefined && length > bytesMax) throw tooLarge(length, bytesMax);
  // A body without a declared length may become as long as the bound.
  using _place = await uploads.acquire(length ?? bytesMax);
  const slow = new AbortController();
  const timer = setTimeout(() => slow.abort(tooSlow(settings)), settings.STEPWELL_UPLOAD_SECONDS * 1000);
  try {
    return await read(request, { bytesMax, signal: slow.signal });
  } finally {
    clearTimeout(timer);
  }
}

function tooLarge(length: number, bytesMax: number): StepwellError {
  return new StepwellError(
    "body_too_large",
    `Cannot read the body: it has ${length} bytes, must have at most ${bytesMax} here`,
  );
}

function tooSlow({ STEPWELL_UPLOAD_SECONDS }: Services["settings"]): StepwellError {
  return new StepwellError(
    "body_timeout",
    `Cannot wait for the rest of the body: it must arrive within ${STEPWELL_UPLOAD_SECONDS} s`,
  );
}

function parse<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(withoutNulls(schema, value));
  if (parsed.success) return parsed.data;
  throw invalidRequest("body", parsed.error);
}

/** The format of the body by its Content-Type. Throws unsupported_media_type. */
export function bodyFormat(c: AppContext, allowed: readonly Format[]): Format {
  const header = c.req.header("Content-Type");
  const [type = "", ...parameters] = (header ?? "").split(";").map((part) => part.trim().toLowerCase());
  const format = FORMATS.get(type);
  const isUtf8 = parameters.every((parameter) =>
    !parameter.startsWith("charset=") || /^charset="?utf-?8"?$/.test(parameter)
  );
  if (format !== undefined && allowed.includes(format) && isUtf8) return format;
  const wanted = [...FORMATS].filter(([, format]) => allowed.includes(format)).map(([type]) => type).join(
    " or ",
  );
  const problem = header === undefined
    ? "it has no Content-Type"
    : `its Content-Type is ${JSON.stringify(header)}`;
  throw new StepwellError("unsupported_media_type", `Cannot read the body: ${problem}, must be ${wanted}`, [
    { path: "header.Content-Type", message: `Must be ${wanted}` },
  ]);
}
