/**
 * Request bodies with random numbers in every form that the service takes: nested JSON, base64, safetensors; float32,
 * float16, bfloat16, float64; dense, sparse with repeated rows, absent.
 */
import { type Call, fileCall, jsonCall } from "./calls.ts";
import type { Plan, PlannedVariable } from "./plans.ts";

/** Numbers from 0 to 1, determined by the seed. */
export type Random = () => number;

export const below = (next: Random, count: number): number => Math.floor(next() * count);

export function pick<Item>(next: Random, items: readonly Item[]): Item {
  const item = items[below(next, items.length)];
  if (item === undefined) throw new RangeError("Cannot pick from nothing");
  return item;
}

type FloatType = "F32" | "F16" | "BF16" | "F64";

interface Entry {
  readonly name: string;
  readonly dtype: FloatType | "I32" | "I64";
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

interface Sparse {
  readonly indices: number[];
  readonly values: Entry;
}

const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { F32: 4, F16: 2, BF16: 2, F64: 8 };
const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

function floats(next: Random, name: string, { dtype, shape }: { dtype: FloatType; shape: number[] }): Entry {
  const size = FLOAT_BYTES[dtype];
  const view = new DataView(new ArrayBuffer(size * count(shape)));
  for (let at = 0; at < view.byteLength; at += size) {
    const value = (next() - 0.5) * 4;
    if (dtype === "F32") view.setFloat32(at, value, true);
    else if (dtype === "F64") view.setFloat64(at, value, true);
    else if (dtype === "F16") view.setFloat16(at, value, true);
    // The upper half of a float32. Its rounding does not matter; it must only be the same each time.
    else view.setUint16(at, (value < 0 ? 0x8000 : 0) + 0x3e00 + below(next, 0x180), true);
  }
  return { name, dtype, shape, bytes: new Uint8Array(view.buffer) };
}

function sparse(next: Random, { name, shape }: PlannedVariable, dtype: FloatType): Sparse {
  const rows = shape[0] as number;
  const indices = Array.from({ length: 1 + below(next, 5) }, () => below(next, rows));
  return { indices, values: floats(next, name, { dtype, shape: [indices.length, ...shape.slice(1)] }) };
}

/** Whether the variable takes dense gradients only. */
const needsAll = ({ holds }: Plan, { constraint, role }: PlannedVariable) =>
  holds || constraint !== undefined || role === "average";

/** Gradients for some of a plan's variables, as a body for `path`. */
export function gradientsCall(next: Random, { plan, path, headers, fields }: {
  readonly plan: Plan;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly fields: Readonly<Record<string, unknown>>;
}): Call {
  const kept = plan.variables.filter(() => plan.holds || next() < 0.8);
  const given = kept.length > 0 ? kept : [pick(next, plan.variables)];
  const form = pick(next, ["file", "file", "nested", "base64"] as const);
  const dtype = form === "file" ? pick(next, ["F32", "F32", "F16", "BF16", "F64"] as const) : "F32";
  const tensors = given.map((variable): Entry | Sparse =>
    variable.shape.length > 0 && !needsAll(plan, variable) && next() < 0.4
      ? sparse(next, variable, dtype)
      : floats(next, variable.name, { dtype, shape: [...variable.shape] })
  );
  if (form !== "file") {
    const gradients = Object.fromEntries(tensors.map((tensor) => jsonEntry(tensor, form)));
    return jsonCall("POST", path, { gradients, ...fields }, headers);
  }
  const metadata = Object.entries(fields).map(([key, value]) =>
    [key, typeof value === "string" ? value : JSON.stringify(value)] as const
  );
  return fileCall("POST", path, encode(tensors.flatMap(fileEntries), Object.fromEntries(metadata)), headers);
}

/** Values for all variables, as a body for `path`. */
export function variablesCall(next: Random, plan: Plan, path: string): Call {
  const entries = plan.variables.map(({ name, shape }) =>
    floats(next, name, { dtype: "F32", shape: [...shape] })
  );
  return fileCall("PUT", path, encode(entries));
}

function fileEntries(tensor: Entry | Sparse): Entry[] {
  if (!("indices" in tensor)) return [tensor];
  const { indices, values } = tensor;
  const bytes = new Uint8Array(Int32Array.from(indices).buffer);
  return [
    { name: `${values.name}#indices`, dtype: "I32", shape: [indices.length], bytes },
    { ...values, name: `${values.name}#values` },
  ];
}

function jsonEntry(tensor: Entry | Sparse, form: "nested" | "base64"): [string, unknown] {
  if ("indices" in tensor) {
    const { indices, values } = tensor;
    return [values.name, { indices, values: jsonEntry(values, form)[1] }];
  }
  const { name, shape, bytes } = tensor;
  if (form === "base64") return [name, { dtype: "float32", shape, base64: bytes.toBase64() }];
  return [name, nested([...new Float32Array(bytes.buffer as ArrayBuffer)], shape)];
}

function nested(values: number[], [size, ...rest]: readonly number[]): unknown {
  if (size === undefined) return values[0];
  const each = count(rest);
  return Array.from({ length: size }, (_, at) => nested(values.slice(at * each, (at + 1) * each), rest));
}

function encode(entries: readonly Entry[], metadata: Record<string, string> = {}): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const { name, dtype, shape, bytes } of entries) {
    header[name] = { dtype, shape, data_offsets: [end, end += bytes.length] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  let at = 8 + text.length;
  for (const { bytes } of entries) {
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}
