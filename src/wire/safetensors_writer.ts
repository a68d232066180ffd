/**
 * Writes safetensors files: the length first, then the bytes without copying them. The layout is that of the
 * reference writer: widest dtype first, then by name; the header is padded with spaces to a multiple of 8.
 *
 * Invariant: nothing is copied, so the tensors' memory must never be written again. `onEnd` is called exactly once,
 * when no more of it will be read: then it may be dropped, but not reused, because Deno still holds views that it has
 * not sent (tried with a slow client: values overwritten at the end of the stream arrived in place of the last MiB).
 */

import type { NamedTensor, Shape } from "../tensor.ts";
import { METADATA } from "./safetensors_header.ts";

/** Integers, such as the iteration count; written as I64. */
export interface Int64Tensor {
  readonly name: string;
  readonly shape: Shape;
  readonly values: BigInt64Array<ArrayBuffer>;
}

export type WritableTensor = NamedTensor | Int64Tensor;

export interface SafetensorsFile {
  /** Content-Length. */
  readonly byteLength: number;
  /** A body for `new Response`. */
  readonly body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Below this size a copy is cheaper than a stream. */
const SMALL_BYTES_MAX = 64 << 10;
const PIECE_BYTES_MAX = 1 << 20;

/** Whether a tensor's bytes stand before another's. */
export const byName = (a: { readonly name: string }, b: { readonly name: string }) =>
  a.name < b.name ? -1 : 1;

/** One member of the header. */
export const showMember = (name: string, value: unknown) =>
  `${JSON.stringify(name)}:${JSON.stringify(value)}`;

/** Prefix and header of the file, and the tensors in the order of their bytes. */
export function encodeHeader<T extends WritableTensor>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>> = {},
): { bytes: Uint8Array<ArrayBuffer>; ordered: T[] } {
  const width = (tensor: WritableTensor) => tensor.values.BYTES_PER_ELEMENT;
  const ordered = [...tensors].sort((a, b) => width(b) - width(a) || byName(a, b));
  // Written member by member, because a tensor named __proto__ would become the prototype of an object.
  const members = Object.keys(metadata).length > 0 ? [showMember(METADATA, metadata)] : [];
  const names = new Set([METADATA]);
  let end = 0;
  for (const { name, shape, values } of ordered) {
    if (names.has(name)) throw new Error(`Two entries of a safetensors file would be named "${name}"`);
    names.add(name);
    const dtype = values instanceof Float32Array ? "F32" : "I64";
    members.push(showMember(name, { dtype, shape, data_offsets: [end, end += values.byteLength] }));
  }
  return { bytes: frameHeader(new TextEncoder().encode(`{${members.join(",")}}`)), ordered };
}

/** Prefix and padded header: the beginning of the file. The parts are those of its JSON text. */
export function frameHeader(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const headerBytes = Math.ceil(length / 8) * 8;
  const bytes = new Uint8Array(8 + headerBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  let at = 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes.fill(0x20, at);
}

/**
 * A whole file of tensors and metadata. A large body is a stream of views into the tensors' own memory; a small body
 * is a copy, and `onEnd` is called before this returns. A stream must be read to its end or cancelled.
 */
export function encodeSafetensors(
  tensors: readonly WritableTensor[],
  { metadata = {}, onEnd = () => {} }: { metadata?: Readonly<Record<string, string>>; onEnd?: () => void } =
    {},
): SafetensorsFile {
  const { bytes, ordered } = encodeHeader(tensors, metadata);
  return fileOf([bytes, ...ordered.map(({ values }) => bytesOf(values))], onEnd);
}

/** A file of these parts. As with `encodeSafetensors`, a large body is a stream of views into them. */
export function fileOf(parts: readonly Uint8Array<ArrayBuffer>[], onEnd: () => void): SafetensorsFile {
  const byteLength = parts.reduce((sum, part) => sum + part.length, 0);
  if (byteLength >= SMALL_BYTES_MAX) return { byteLength, body: streamOf(parts, onEnd) };
  const body = new Uint8Array(byteLength);
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  onEnd();
  return { byteLength, body };
}

/** The file's byte order is this machine's: Deno runs on little-endian ones only. */
function bytesOf(values: Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function streamOf(parts: readonly Uint8Array<ArrayBuffer>[], onEnd: () => void) {
  const pieces = piecesOf(parts);
  return new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      const { value, done } = pieces.next();
      if (!done) return controller.enqueue(value);
      controller.close();
      onEnd();
    },
    cancel: onEnd,
  }, { highWaterMark: 0 });
}

function* piecesOf(parts: readonly Uint8Array<ArrayBuffer>[]): Generator<Uint8Array<ArrayBuffer>, void> {
  for (const part of parts) {
    for (let at = 0; at < part.length; at += PIECE_BYTES_MAX) yield part.subarray(at, at + PIECE_BYTES_MAX);
  }
}
