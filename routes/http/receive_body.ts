/**
 * Receives request bodies: checks media type and size, bounds what they may hold, and lets src/wire decode. It knows
 * no operation and holds no tensor.
 */
import type { z } from "@hono/zod-openapi";
import { StepwellError } from "../../src/errors.ts";
import type { TensorTarget, WholeBody } from "../../src/tensor.ts";
import { type JsonLimits, jsonMemory, type TensorPlace, tensorsIn } from "../../src/wire/json_limits.ts";
import { writeTensorsInSlices } from "../../src/wire/json_tensors.ts";
import { decodedLength, readBody } from "../../src/wire/read_body.ts";
import { readJson } from "../../src/wire/read_json.ts";
import { tensorFileReader } from "../../src/wire/tensor_file.ts";
import type { AppContext, Services } from "./context.ts";
import { type LongList, parseBody, parseWithList, parseWithMap } from "./parse_body.ts";
import { type Received, upload } from "./upload.ts";
import { BYTES_TYPE, JSON_TYPE, SAFETENSORS_TYPE } from "./negotiate.ts";

type Format = "json" | "safetensors";
const FORMATS: ReadonlyMap<string, Format> = new Map([
  [JSON_TYPE, "json"],
  [SAFETENSORS_TYPE, "safetensors"],
  [BYTES_TYPE, "safetensors"],
]);

interface JsonBody {
  /** The most bytes of the whole body, besides the bound of the settings. */
  readonly bytesMax?: number;
  /** The most bytes besides the numbers of tensors. */
  readonly plainBytesMax?: number;
  /** The most values besides tensors. */
  readonly valuesMax?: number;
  /** Where tensors are. Absent: nowhere. */
  readonly places?: TensorPlace;
  readonly list?: LongList;
  /** Called with the value before the schema looks at it. */
  readonly prepare?: (value: unknown) => unknown;
}

/**
 * Receives a JSON body that fits `schema`. The memory of a long one is counted until what is returned is disposed of.
 */
export async function receiveJson<S extends z.ZodType>(
  c: AppContext,
  services: Services,
  schema: S,
  { bytesMax = Infinity, plainBytesMax = PLAIN_BYTES_MAX, places, ...more }: JsonBody = {},
): Promise<Received<z.output<S>>> {
  bodyFormat(c, ["json"]);
  const { STEPWELL_JSON_BYTES_MAX } = services.settings;
  const limits = () => limitsOf({ plainBytesMax, places, valuesMax: more.valuesMax });
  const least = Math.min(bytesMax, places ? Infinity : plainBytesMax, STEPWELL_JSON_BYTES_MAX);
  const received = await upload(c, services, {
    bytesMax: least,
    weigh: (bytes) => jsonMemory(bytes, limits()),
    read: (request, options) => readJson(request, { ...options, limits }),
  });
  try {
    const { prepare = (value) => value, list } = more;
    const value = prepare(received.value);
    return {
      ...received,
      value: list ? await parseWithList(schema, value, list) : parseBody(schema, value),
    };
  } catch (error) {
    received[Symbol.dispose]();
    throw error;
  }
}

/** Bodies have some kilobytes besides their tensors. */
const PLAIN_BYTES_MAX = 1 << 20;
/** Values besides tensors: each takes up to some 70 bytes. */
const VALUES_MAX = 200_000;
/** The longest name of a variable, with what stands around it. */
const NAME_BYTES_MAX = 1024;
/** Names of one object, whatever the run. */
const NAMES_MAX = 4096;

function limitsOf(
  { plainBytesMax, places, names = 0, valuesMax = VALUES_MAX + 4 * names }: {
    readonly plainBytesMax: number;
    readonly valuesMax?: number | undefined;
    readonly places?: TensorPlace | undefined;
    readonly names?: number;
  },
): JsonLimits {
  return { plainBytesMax, places, valuesMax, namesMax: NAMES_MAX + names };
}

export interface TensorBody<S extends z.ZodType> {
  /** The largest body that the run accepts, by format. */
  readonly bytesMax: (format: Format) => number;
  readonly headerBytesMax: number;
  readonly target: TensorTarget;
  /** How many variables the run has. */
  readonly variableCount: () => number;
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
      void (fields = parseBody(body.schema, { ...body.fields(metadata), [body.member]: {} }));
    const { target, headerBytesMax } = body;
    await receiveFile(c, services, { bytesMax, headerBytesMax, target, onMetadata });
    return fields as z.output<S>;
  }
  // Each variable has a name in the text, besides its numbers.
  const limits = () => {
    const names = body.variableCount();
    const plainBytesMax = PLAIN_BYTES_MAX + NAME_BYTES_MAX * names;
    return limitsOf({ plainBytesMax, places: tensorsIn(body.member), names });
  };
  using received = await upload(c, services, {
    bytesMax,
    weigh: (bytes) => jsonMemory(bytes, limits()),
    read: (request, options) => readJson(request, { ...options, limits }),
  });
  const { value } = received;
  const fields = await parseWithMap(body.schema, value, body.member);
  // Not from zod's output, which leaves out a member named __proto__.
  await writeTensorsInSlices((value as Record<string, unknown>)[body.member], body.target, body.member);
  return fields;
}

interface FileBody {
  readonly bytesMax: number;
  readonly headerBytesMax: number;
  readonly target: TensorTarget;
  /** Called before the target. */
  readonly onMetadata?: (metadata: ReadonlyMap<string, string>) => void;
  readonly begin?: (metadata: ReadonlyMap<string, string>) => Generator<number, void>;
  readonly recall?: (header: Uint8Array) => Generator<number, WholeBody | undefined>;
  /** Whether the target keeps the bytes outside of the arenas. */
  readonly isKept?: boolean;
}

/** Decodes a safetensors body into `target` as it arrives. */
export async function receiveFile(c: AppContext, services: Services, body: FileBody): Promise<void> {
  bodyFormat(c, ["safetensors"]);
  const { bytesMax, target, isKept = false, ...reading } = body;
  using _received = await upload(c, services, {
    bytesMax,
    ...isKept && { weigh: (bytes: number) => bytes },
    read: async (request, options) => {
      const fileBytes = decodedLength(request.headers);
      if (isKept && fileBytes === undefined) await options.onLong();
      const reader = tensorFileReader(target, { fileBytes, ...reading });
      await readBody(request, options, (chunk) => reader.writeInSlices(chunk));
      reader.close();
    },
  });
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
