/**
 * Reads a safetensors body into a target by the names of its entries. `NAME` is dense; `NAME#indices` with
 * `NAME#values` is sparse, or flat if `__metadata__` says so; int8 values have a `NAME#scale`. The parts may be in
 * any order. Only the form is checked here; the target accepts or refuses names, shapes and dtypes.
 */

import type { ByteSink, TensorTarget, WholeBody, WireDtype } from "../tensor.ts";
import { isWireDtype } from "./dtypes.ts";
import { type HeaderKey, headerKey } from "./header_key.ts";
import { checkParts, PACKING_KEYS, readPacking } from "./packing.ts";
import { SafetensorsReader } from "./safetensors_reader.ts";
import { parseHeader, type SafetensorsEntry, type SafetensorsHeader } from "./safetensors_header.ts";
import { unreadable } from "./unreadable.ts";

export interface TensorFileOptions {
  /** In place of what the target remembers: called with the header's bytes before they are parsed. */
  readonly recall?: (header: Uint8Array) => Generator<number, WholeBody | undefined>;
  /** The Content-Length, if there is one and the body is not encoded. */
  readonly fileBytes?: number | undefined;
  readonly headerBytesMax?: number | undefined;
  /** Called before the target; may throw to refuse. */
  readonly onMetadata?: (metadata: ReadonlyMap<string, string>) => void;
  /** As `onMetadata`, in pieces. Not called for a file that is recalled. */
  readonly begin?: (metadata: ReadonlyMap<string, string>) => Generator<number, void>;
}

/** A reader of tensor files. Errors: {@link SafetensorsReader}'s, invalid_request, dtype_mismatch, the target's. */
export function tensorFileReader(target: TensorTarget, options: TensorFileOptions = {}): SafetensorsReader {
  const { onMetadata, begin, recall, ...readerOptions } = options;
  let key: HeaderKey | undefined;
  return new SafetensorsReader({
    ...readerOptions,
    recall: recall ?? ((bytes) => {
      key = target.whole && headerKey(bytes);
      const body = key && target.whole?.recall(key.key);
      if (!key || !body) return undefined;
      const metadata = key.metadata ? parseHeader(key.metadata).metadata : new Map<string, string>();
      if (PACKING_KEYS.values().some((each) => metadata.has(each))) return undefined;
      const open = () => {
        onMetadata?.(metadata);
        return body.open();
      };
      return { bytes: body.bytes, open };
    }),
    *onHeader(header) {
      onMetadata?.(header.metadata);
      yield* begin?.(header.metadata) ?? [];
      const body = key && (yield* wholeOf(header, target, key.key));
      return body ? { whole: body.open(), bytes: body.bytes } : yield* sinksOf(header, target);
    },
  });
}

/** The file as a whole, if it has nothing but plain tensors. */
function* wholeOf(
  { entries, metadata }: SafetensorsHeader,
  target: TensorTarget,
  key: string,
): Generator<number, WholeBody | undefined> {
  const isPlain = entries.every(({ dtype, name }) => isWireDtype(dtype) && !name.includes("#")) &&
    !PACKING_KEYS.values().some((each) => metadata.has(each));
  return isPlain ? yield* target.whole!.check(entries as readonly Entry[], key) : undefined;
}

const SUFFIXES = ["indices", "values", "scale"] as const;
type Part = "dense" | typeof SUFFIXES[number];
type Entry = SafetensorsEntry & { readonly dtype: WireDtype };
type Parts = Partial<Record<Part, Entry>>;

/** How long it takes to look at an entry, and to open a tensor. */
const ENTRY_UNITS = 500, OPEN_UNITS = 3000;

function* sinksOf(
  header: SafetensorsHeader,
  target: TensorTarget,
): Generator<number, { readonly sinks: ReadonlyMap<string, ByteSink> }> {
  const tensors = new Map<string, Parts>();
  for (const entry of header.entries) {
    const { dtype } = entry;
    if (!isWireDtype(dtype)) {
      throw unreadable(entry.name, `has the dtype ${dtype}, which is not accepted`, "dtype_mismatch");
    }
    const { name, part } = splitName(entry.name);
    const parts = tensors.get(name) ?? {};
    tensors.set(name, { ...parts, [part]: { ...entry, dtype } });
    yield ENTRY_UNITS;
  }
  const withIndices = [...tensors].flatMap(([name, { indices }]) => indices ? [name] : []);
  const metadata = target.packed ? header.metadata : new Map<string, string>();
  const packing = readPacking(metadata, new Set(withIndices));
  // All tensors are checked before the target gets one.
  const opens: (() => [string, ByteSink][])[] = [];
  for (const [name, parts] of tensors) {
    const { block } = packing, flat = packing.isFlat(name);
    opens.push(openTensor(name, parts, { target, block, flat }));
    yield ENTRY_UNITS;
  }
  const sinks = new Map<string, ByteSink>();
  for (const open of opens) {
    for (const [name, sink] of open()) sinks.set(name, sink);
    yield OPEN_UNITS;
  }
  return { sinks };
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
