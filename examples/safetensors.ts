/**
 * Reads and writes the part of the safetensors format that a client of Stepwell needs: float32 and int32 tensors
 * and text metadata. Not a validator: it trusts the service.
 *
 *     8 bytes: length N of the header (little endian) | N bytes: JSON {name: {dtype, shape, data_offsets}} | the data
 */

export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array;
}

export interface TensorFile {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The bytes of a file. `__metadata__` holds the metadata: for gradients `client_id`, `base_iteration`, …. */
export function encodeTensors(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header["__metadata__"] = metadata;
  let dataBytes = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const dtype = values instanceof Float32Array ? "F32" : "I32";
    header[name] = { dtype, shape, data_offsets: [dataBytes, dataBytes + values.byteLength] };
    dataBytes += values.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Padded with spaces to a multiple of 8, so that typed arrays can view the data in place.
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8, 8 + headerBytes).set(json, 8);
  let offset = 8 + headerBytes;
  for (const { values } of Object.values(tensors)) {
    file.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
    offset += values.byteLength;
  }
  return file;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The float32 tensors of a file and its metadata. */
export function decodeTensors(file: Uint8Array<ArrayBuffer>): TensorFile {
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const json = new TextDecoder().decode(file.subarray(8, 8 + headerBytes));
  const { __metadata__: metadata = {}, ...entries } = JSON.parse(json) as
    & { __metadata__?: Record<string, string> }
    & Record<string, Entry>;
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries(entries)) {
    if (dtype !== "F32") throw new Error(`Cannot read tensor ${name}: its dtype is ${dtype}, must be F32`);
    const data = file.slice(8 + headerBytes + start, 8 + headerBytes + end);
    tensors.set(name, { shape, values: new Float32Array(data.buffer) });
  }
  return { tensors, metadata };
}
