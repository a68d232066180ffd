/**
 * The body of put_weights as a list: JSON as it is, or the tensors of a file in order of their names, which are their
 * places in the list: 0, 1, 2, … The session checks what belongs at each place.
 */
import { type ErrorCode, refusal, StepwellError } from "../src/errors.ts";
import type { RunSession } from "../src/run/api/run_session.ts";
import { type ByteSink, elementCount, type Shape, type TensorTarget, type WireDtype } from "../src/tensor.ts";
import { membersOf, TENSOR } from "../src/wire/json_limits.ts";
import type { FlatTensor } from "../src/wire/nested_numbers.ts";
import { inSlices } from "../src/slices.ts";
import { readTensor } from "../src/wire/json_tensors.ts";
import { noFields } from "../src/wire/metadata_fields.ts";
import { bodyFormat, receiveFile, receiveJson } from "./http/receive_body.ts";
import type { AppContext, Services } from "./http/context.ts";
import { Weights } from "./contract/tensor_schemas.ts";

/** Scalars in a list are plain numbers. */
const VALUES_MAX = 2_000_000;

export async function receiveWeights(
  c: AppContext,
  services: Services,
  run: RunSession,
): Promise<readonly unknown[]> {
  if (bodyFormat(c, ["json", "safetensors"]) === "json") {
    const bytesMax = 2 * run.limits.bodyBytesMax("json");
    const places = membersOf({ weights: { each: TENSOR } });
    // A long list may hold all slots of a run with many variables.
    using body = await receiveJson(c, services, Weights, {
      bytesMax,
      plainBytesMax: run.limits.headerBytesMax,
      valuesMax: VALUES_MAX,
      places,
    });
    return await inSlices(readingList(body.value.weights));
  }
  const list = new WeightList();
  // More than the names of all places take.
  const { headerBytesMax } = run.limits;
  // Keras accepts lists that are longer than the run's: an old list may contain slots that no longer exist.
  const bytesMax = Math.min(
    2 * run.describe().bytes + headerBytesMax,
    services.settings.STEPWELL_BODY_BYTES_MAX,
  );
  const file = { bytesMax, headerBytesMax, target: list, onMetadata: noFields, isKept: true };
  await receiveFile(c, services, file);
  return await inSlices(list.listing());
}

/** How long it takes to read a tensor, and one of its bytes. */
const TENSOR_UNITS = 1000, BYTE_UNITS = 2;

/** The tensors of a list from JSON; the iteration count, which comes first, may be a number. */
function* readingList(list: readonly unknown[]): Generator<number, (FlatTensor | number)[]> {
  const items: (FlatTensor | number)[] = [];
  for (const [place, value] of list.entries()) {
    if (place === 0 && typeof value === "number") {
      items.push(value);
      continue;
    }
    const tensor = readTensor(value, `weights.${place}`);
    items.push(tensor);
    yield TENSOR_UNITS + BYTE_UNITS * tensor.values.byteLength;
  }
  return items;
}

/** Items that are looked up at a time, and how long one takes. */
const ITEMS = 1000, ITEM_UNITS = 200;

/** Small tensors have their memory together. */
const SHARED_BYTES = 64 << 10;

/** Collects dense tensors: integers as numbers, all others as float32 tensors. */
class WeightList implements TensorTarget {
  readonly #items = new Map<number, FlatTensor | number>();
  #shared = new Uint8Array(0);
  #used = 0;

  dense(name: string, { dtype, shape }: { dtype: WireDtype; shape: Shape }): ByteSink {
    const place = /^(0|[1-9]\d{0,6})$/.test(name) ? Number(name) : NaN;
    if (Number.isNaN(place)) {
      throw unfit(name, "must be named by its place in the list: 0, 1, 2, …");
    }
    if (dtype === "I64" && shape.length === 0) {
      return this.#collect(8, (bytes) => this.#setInteger(place, bytes));
    }
    if (dtype !== "F32") {
      throw unfit(
        name,
        `is ${dtype} of rank ${shape.length}, must be F32, or I64 of rank 0`,
        "dtype_mismatch",
      );
    }
    return this.#collect(
      4 * elementCount(shape),
      (bytes) => this.#items.set(place, { shape: [...shape], values: floatsOf(bytes) }),
    );
  }

  sparse(name: string): never {
    throw unfit(name, "is sparse, must be dense");
  }

  none(name: string): never {
    throw unfit(name, "is null, must be a tensor");
  }

  /** The list, in pieces. Throws invalid_weights if a place is missing. */
  *listing(): Generator<number, readonly (FlatTensor | number)[]> {
    const { size } = this.#items, list: (FlatTensor | number)[] = [];
    while (list.length < size) {
      const item = this.#items.get(list.length);
      if (item === undefined) {
        const problem = `none of the ${size} tensors is named ${list.length}`;
        throw new StepwellError("invalid_weights", `Cannot set the weights: ${problem}`);
      }
      if (list.push(item) % ITEMS === 0) yield ITEMS * ITEM_UNITS;
    }
    return list;
  }

  #setInteger(place: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#items.set(place, Number(new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true)));
  }

  /** Memory for a tensor. */
  #take(size: number): Uint8Array<ArrayBuffer> {
    if (size > SHARED_BYTES / 4) return new Uint8Array(size);
    if (this.#used + size > this.#shared.length) {
      this.#shared = new Uint8Array(SHARED_BYTES);
      this.#used = 0;
    }
    const bytes = this.#shared.subarray(this.#used, this.#used + size);
    // Each begins at a multiple of 8 bytes.
    this.#used += 8 * Math.ceil(size / 8);
    return bytes;
  }

  #collect(size: number, done: (bytes: Uint8Array<ArrayBuffer>) => void): ByteSink {
    const bytes = this.#take(size);
    let written = 0;
    return {
      write: (piece) => {
        bytes.set(piece, written);
        written += piece.length;
      },
      close: () => done(bytes),
    };
  }
}

const floatsOf = (bytes: Uint8Array<ArrayBuffer>) =>
  new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);

function unfit(name: string, problem: string, code: ErrorCode = "invalid_request"): StepwellError {
  return refusal(code, `take the tensor "${name}"`, { path: `weights.${name}`, called: "it" }, problem);
}
