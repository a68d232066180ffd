/** Safetensors files as bytes. */

export function file(header: string, body = new Uint8Array(0)): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + body.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(body, 8 + text.length);
  return bytes;
}

/** Tensors of one number each. */
export function manyTensors(count: number): Uint8Array<ArrayBuffer> {
  const entries = Array.from({ length: count }, (_, at) => [
    `v${at}`,
    { dtype: "F32", shape: [1], data_offsets: [4 * at, 4 * at + 4] },
  ]);
  return file(JSON.stringify(Object.fromEntries(entries)), new Uint8Array(4 * count));
}
