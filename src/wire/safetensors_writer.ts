/**
 * Writes safetensors files: the length first, then the bytes without copying them. The layout is that of the
 * reference writer: widest dtype first, then by name; the header is padded with spaces to a multiple of 8.
 *
 * Invariant: nothing is copied, so the tensors' memory must never be written again. `onEnd` is called exactly once,
 * when no more of it will be read: then it may be dropped, but not reused, because Deno still holds views that it has
 * not sent (tried with a slow client: values overwritten at the end of the stream arrived in place of the last MiB).
 */

import { joined } from "./joined.ts";
import { atOnce } from "../slices.ts";
import { sorting } from "../sorting.ts";
import { elementCount, type NamedTensor, type Shape } from "../tensor.ts";
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
/** Longer tensors are not copied. */
const JOINED_BYTES_MAX = 16 << 10;

/** A tensor of a file: its values, or the dtype that they have. */
interface Described {
  readonly name: string;
  readonly shape: Shape;
  readonly values?: WritableTensor["values"];
}

/** The entries of a header, and the tensors in the order of their bytes. */
export interface Layout<T> {
  /** As in the header, without braces. */
  readonly entries: string;
  readonly ordered: readonly T[];
}

const ENTRY_UNITS = 600;

/** Lays out a file, in pieces. Tensors without values are float32. */
export function* layingOut<T extends Described>(tensors: readonly T[]): Generator<number, Layout<T>> {
  const isWide = ({ values }: Described) => values instanceof BigInt64Array ? 1 : 0;
  const ordered = yield* sorting(tensors, (a, b) => isWide(b) - isWide(a) || (a.name < b.name ? -1 : 1));
  let entries = "", end = 0, last = METADATA;
  for (const tensor of ordered) {
    const { name, shape } = tensor, wide = isWide(tensor);
    // Of one width, equal names are neighbours; no file of ours has both widths under one name.
    if (name === last || name === METADATA) {
      throw new Error(`Two entries of a safetensors file would be named "${name}"`);
    }
    last = name;
    const start = end;
    end += (wide ? 8 : 4) * elementCount(shape);
    const offsets = `"shape":[${shape.join()}],"data_offsets":[${start},${end}]`;
    entries += `${entries === "" ? "" : ","}${JSON.stringify(name)}:{"dtype":"${
      wide ? "I64" : "F32"
    }",${offsets}}`;
    yield ENTRY_UNITS;
  }
  return { entries, ordered };
}

const encoder = new TextEncoder();

/** Prefix and header of a file. */
export function headerOf(
  { entries }: Pick<Layout<unknown>, "entries">,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const isEmpty = Object.keys(metadata).length === 0, comma = isEmpty || entries === "" ? "" : ",";
  return frameHeader(encoder.encode(`{${isEmpty ? "" : metadataEntry(metadata)}${comma}${entries}}`));
}

/** The entry of the metadata, which is the first one. */
export const metadataEntry = (metadata: Readonly<Record<string, string>>): string =>
  `"${METADATA}":${JSON.stringify(metadata)}`;

/** Prefix and padded header: the beginning of the file. The parts are those of its JSON text. */
export function frameHeader(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return joined(framedParts(parts));
}

/** As {@link frameHeader}, of a long header: in parts, none of which is copied. */
export function framedParts<B extends ArrayBufferLike>(
  parts: readonly Uint8Array<B>[],
): Uint8Array<B | ArrayBuffer>[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const headerBytes = Math.ceil(length / 8) * 8;
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(headerBytes), true);
  return [prefix, ...parts, new Uint8Array(headerBytes - length).fill(0x20)];
}

/**
 * A whole file of tensors and metadata. A large body is a stream of views into the tensors' own memory; a small body
 * is a copy, and `onEnd` is called before this returns. A stream must be read to its end or cancelled.
 */
export function encodeSafetensors(
  tensors: readonly WritableTensor[],
  options: FileOptions = {},
): SafetensorsFile {
  return atOnce(encodingSafetensors(tensors, options));
}

interface FileOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly onEnd?: () => void;
}

/** As {@link encodeSafetensors}, in pieces. */
export function* encodingSafetensors(
  tensors: readonly WritableTensor[],
  { metadata = {}, onEnd = () => {} }: FileOptions,
): Generator<number, SafetensorsFile> {
  const layout = yield* layingOut(tensors);
  return fileOf([headerOf(layout, metadata), ...layout.ordered.map(({ values }) => bytesOf(values))], onEnd);
}

/** A file of these parts. As with {@link encodeSafetensors}, a large body is a stream of views into them. */
export function fileOf(parts: readonly Uint8Array<ArrayBuffer>[], onEnd: () => void): SafetensorsFile {
  const byteLength = parts.reduce((sum, part) => sum + part.length, 0);
  if (byteLength >= SMALL_BYTES_MAX) return { byteLength, body: streamOf(parts, onEnd) };
  const body = joined(parts);
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

/** Short parts are copied together: a piece for each would take longer. */
function* piecesOf(parts: readonly Uint8Array<ArrayBuffer>[]): Generator<Uint8Array<ArrayBuffer>, void> {
  let piece = new Uint8Array(0), filled = 0;
  for (const part of parts) {
    const isLong = part.length >= JOINED_BYTES_MAX;
    if (filled > 0 && (isLong || filled + part.length > piece.length)) {
      yield piece.subarray(0, filled);
      filled = 0;
    }
    if (isLong) {
      yield* cut(part);
      continue;
    }
    // What was given away may still have to be sent.
    if (filled === 0) piece = new Uint8Array(SMALL_BYTES_MAX);
    piece.set(part, filled);
    filled += part.length;
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

function* cut(part: Uint8Array<ArrayBuffer>): Generator<Uint8Array<ArrayBuffer>, void> {
  for (let at = 0; at < part.length; at += PIECE_BYTES_MAX) yield part.subarray(at, at + PIECE_BYTES_MAX);
}
