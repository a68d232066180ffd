/**
 * The layout of a safetensors file of float32 tensors whose names and shapes stay while their values and the metadata
 * change: what of the header is always the same is written once.
 *
 * Invariant: the file has the bytes that `encodeSafetensors` would give it.
 */
import type { Shape } from "../tensor.ts";
import { METADATA } from "./safetensors_header.ts";
import { byName, frameHeader, showMember } from "./safetensors_writer.ts";

interface Placed {
  readonly name: string;
  readonly shape: Shape;
  readonly count: number;
}

const encoder = new TextEncoder();

export class FileLayout<T extends Placed> {
  /** The tensors in the order of their bytes, which have no gaps between them. */
  readonly ordered: readonly T[];
  /** Bytes of all tensors. */
  readonly dataBytes: number;
  /** The members of the header after the metadata, with the bracket that ends it. */
  readonly #members: Uint8Array<ArrayBuffer>;

  constructor(tensors: Iterable<T>) {
    this.ordered = [...tensors].sort(byName);
    let end = 0;
    const members = this.ordered.map(({ name, shape, count }) =>
      "," + showMember(name, { dtype: "F32", shape, data_offsets: [end, end += 4 * count] })
    );
    this.dataBytes = end;
    this.#members = encoder.encode(`${members.join("")}}`);
  }

  /** The file's beginning, up to the first tensor. There must be some metadata. */
  header(metadata: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
    return frameHeader(encoder.encode(`{${showMember(METADATA, metadata)}`), this.#members);
  }
}
