/**
 * The layout of a safetensors file of float32 tensors whose names and shapes stay while their values and the metadata
 * change: what of the header is always the same is written once.
 *
 * Invariant: the file has the bytes that `encodeSafetensors` would give it.
 */
import type { Shape } from "../tensor.ts";
import { frameHeader, layingOut, type Layout, metadataEntry } from "./safetensors_writer.ts";

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
  /** The entries of the header after the metadata, with the bracket that ends it. */
  readonly #entries: Uint8Array<ArrayBuffer>;

  /** Lays out a file, in pieces. */
  static *making<T extends Placed>(tensors: Iterable<T>): Generator<number, FileLayout<T>> {
    return new FileLayout(yield* layingOut([...tensors]));
  }

  private constructor({ entries, ordered }: Layout<T>) {
    this.ordered = ordered;
    this.dataBytes = ordered.reduce((sum, { count }) => sum + 4 * count, 0);
    this.#entries = encoder.encode(`${entries === "" ? "" : ","}${entries}}`);
  }

  /** The file's beginning, up to the first tensor. There must be some metadata. */
  header(metadata: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
    return frameHeader(encoder.encode(`{${metadataEntry(metadata)}`), this.#entries);
  }
}
