/**
 * Reads a safetensors body into a target by the names of its entries. `NAME` is dense; `NAME#indices` with
 * `NAME#values` is sparse, or flat if `__metadata__` says so; int8 values have a `NAME#scale`. The parts may be in
 * any order. Only the form is checked here; the target accepts or refuses names, shapes and dtypes.
 */

import type { ByteSink, TensorTarget, WireDtype } from "../tensor.ts";
import { isWireDtype } from "./dtypes.ts";
import { checkParts, readPacking } from "./packing.ts";
import { SafetensorsReader } from "./safetensors_reader.ts";
import { type SafetensorsEntry, type SafetensorsHeader } from "./safetensors_header.ts";
import { unreadable } from "./unreadable.ts";

export interface TensorFileOptions {
  /** The Content-Length, if there is one and the body is not encoded. */
  readonly fileBytes?: number | undefined;
  readonly headerBytesMax?: number | undefined;
  /** Called before the target; may throw to refuse. */
  readonly onMetadata?: (metadata: ReadonlyMap<string, string>) => void;
}

/** A reader of tensor files. Errors: {@link SafetensorsReader}'s, invalid_request, dtype_mismatch, the target's. */
export function tensorFileReader(target: TensorTarget, options: TensorFileOptions = {}): SafetensorsReader {
  const { onMetadata, ...readerOptions } = options;
  return new SafetensorsReader({
    ...readerOptions,
    onHeader(header) {
      onMetadata?.(header.metadata);
      return sinksOf(header, target);
    },
  });
}

const SUFFIXES = ["indices", "values", "scale"] as const;
type Part = "dense" | typeof SUFFIXES[number];
type Entry = SafetensorsEntry & { readonly dtype: WireDtype };
type Parts = Partial<Record<Part, Entry>>;

function sinksOf(header: SafetensorsHeader, target: TensorTarget): Map<string, ByteSink> {
  const tensors = new Map<string, Parts>();
  for (const entry of header.entries) {
    const { dtype } = entry;
    if (!isWireDtype(dtype)) {
      throw unreadable(entry.name, `has the dtype ${dtype}, which is not accepted`, "dtype_mismatch");
    }
    const { name, part } = splitName(entry.name);
    const parts = tensors.get(name) ?? {};
    tensors.set(name, { ...parts, [part]: { ...entry, dtype } });
  }
  const withIndices = [...tensors].flatMap(([name, { indices }]) => indices ? [name] : []);
  const metadata = target.packed ? header.metadata : new Map<string, string>();
  const packing = readPacking(metadata, new Set(withIndices));
  // All tensors are checked before the target gets one.
  const opens = [...tensors].map(([name, parts]) => {
    const { block } = packing, flat = packing.isFlat(name);
    return openTensor(name, parts, { target, block, flat });
  });
  return new Map(opens.flatMap((open) => open()));
}

/** Checks the form of a tensor. Returns a function that opens its sinks, by the names of its entries. */
function openTensor(
  name: string,
  { dense, indices, values, scale }: Parts,
  { target, block, flat }: { target: TensorTarget; block: number; flat: boolean },
): () => [string, ByteSink][] {
  if (dense && (indices ?? values)) throw unreadable(name, "is both dense and sparse");
  if (scale && !dense && !indices && !values) {
    throw unreadable(name, "is missing, but its scale is present");
  }
  if (!dense && !indices) throw unreadable(`${name}#indices`, "is missing");
  const content = dense ?? values;
  if (!content) throw unreadable(`${name}#values`, "is missing");
  const tensor = {
    values: content,
    flat,
    ...(indices && { indices }),
    ...(scale && { scale: { ...scale, block } }),
  };
  checkParts(tensor, name);
  if (!scale && !flat) {
    if (!indices) return () => [[content.name, target.dense(name, content)]];
    return () => {
      const sinks = target.sparse(name, indices, content);
      return [[indices.name, sinks.indices], [content.name, sinks.values]];
    };
  }
  const open = target.packed?.bind(target);
  if (!open) throw unreadable(name, "is in a compact form, must be plain here");
  return () => {
    const sinks = open(name, tensor);
    const of = (entry: Entry | undefined, sink: ByteSink | undefined): [string, ByteSink][] =>
      entry && sink ? [[entry.name, sink]] : [];
    return [...of(indices, sinks.indices), ...of(scale, sinks.scale), ...of(content, sinks.values)];
  };
}

function splitName(entryName: string): { name: string; part: Part } {
  const at = entryName.indexOf("#");
  if (at < 0) return { name: entryName, part: "dense" };
  const part = SUFFIXES.find((suffix) => suffix === entryName.slice(at + 1));
  if (!part) {
    throw unreadable(entryName, `has a #, which must be followed by one of ${SUFFIXES.join(", ")}`);
  }
  return { name: entryName.slice(0, at), part };
}
