/**
 * The small dense float32 tensors of one body, on their way into regions that they share: first in the order of the
 * body, then side by side like the run's variables.
 *
 * It belongs to a staging, which owns the regions. Invariant: `settle` is called once all tensors are whole, and
 * nothing is added after it.
 */
import type { Arena } from "../../../kernels/arena.ts";
import { squaresOfEach } from "../../../kernels/routines/ingest.ts";
import type { ByteSink } from "../../tensor.ts";
import type { VariableState } from "../tensors/state.ts";
import { Arrangement } from "./arrangement.ts";
import type { Regions } from "./regions.ts";
import type { Staged } from "./staged.ts";

/** Bytes of the first region; each further one is twice as large as the one before. */
const FIRST_BYTES = 64 * 1024;

interface Region {
  readonly offset: number;
  readonly bytes: number;
  filled: number;
}

/** Tensors in the run's order. */
export interface Settled {
  readonly arrangement: Arrangement;
  /** Byte offset of their float32 values, in the run's order. */
  readonly values: number;
  /** Float64 sum of the float32 squares of each, in the run's order. */
  readonly squares: Float64Array;
}

export class Together {
  readonly #all: Regions;
  /** It grows, so that its views are made for each use. */
  readonly #place: { readonly arena: Arena };
  readonly #order: VariableState[] = [];
  readonly #regions: Region[] = [];
  #open = 0;
  #arrangement: Arrangement | undefined;
  #settled: Settled | undefined;

  constructor(regions: Regions, place: { readonly arena: Arena }) {
    this.#all = regions;
    this.#place = place;
  }

  /** Whether bytes are missing. */
  get isOpen(): boolean {
    return this.#open > 0;
  }

  /** In the order of the body. */
  get order(): readonly VariableState[] {
    return this.#arrangement?.order ?? this.#order;
  }

  /** Adds a tensor. The sink takes its float32 values. */
  add(variable: VariableState): ByteSink {
    this.#order.push(variable);
    const bytes = 4 * variable.count;
    return this.#sink({ name: variable.name, offset: this.#take(bytes), bytes });
  }

  /** Adds all tensors of a body. The sink takes the values of all, in the order of the body. */
  addAll(arrangement: Arrangement): ByteSink {
    this.#arrangement = arrangement;
    const bytes = 4 * arrangement.count;
    this.#regions.push({ offset: this.#all.allocate(bytes), bytes, filled: bytes });
    const { offset } = this.#regions[0] as Region;
    return this.#sink({ name: "all tensors", offset, bytes });
  }

  #sink(at: RegionBytes): ByteSink {
    this.#open += 1;
    return new RegionSink(this.#place, at, () => void (this.#open -= 1));
  }

  #take(bytes: number): number {
    let last = this.#regions.at(-1);
    if (!last || last.filled + bytes > last.bytes) {
      const size = Math.max(bytes, last ? 2 * last.bytes : FIRST_BYTES);
      last = { offset: this.#all.allocate(size), bytes: size, filled: 0 };
      this.#regions.push(last);
    }
    const offset = last.offset + last.filled;
    last.filled += bytes;
    return offset;
  }

  /** Puts the tensors into the run's order. Throws out_of_memory. */
  settle(): Settled {
    if (this.#settled) return this.#settled;
    const arrangement = this.#arrangement ??= new Arrangement(this.#order);
    const { count, isInOrder } = arrangement;
    const [only, ...more] = this.#regions;
    let values = only?.offset ?? 0;
    if (!isInOrder || more.length > 0) {
      let received = values;
      if (more.length > 0) received = this.#joined();
      values = isInOrder ? received : this.#all.allocate(4 * count);
      const arena = this.#place.arena;
      if (!isInOrder) arrangement.sort(arena.i32(received, count), arena.i32(values, count));
    }
    const { variables } = arrangement;
    const squares = squaresOfEach(this.#place.arena, values, variables);
    return this.#settled = { arrangement, values, squares };
  }

  /** All received bytes in one region. */
  #joined(): number {
    const to = this.#all.allocate(this.#regions.reduce((sum, { filled }) => sum + filled, 0));
    const arena = this.#place.arena;
    let at = to;
    for (const { offset, filled } of this.#regions) {
      arena.u8(at, filled).set(arena.u8(offset, filled));
      at += filled;
    }
    return to;
  }

  /** The received bytes in the order of the body; to be used at once. */
  received(): Uint8Array[] {
    const arena = this.#place.arena;
    return this.#regions.map(({ offset, filled }) => arena.u8(offset, filled));
  }
}

/** Each tensor by itself, those in `apart` too, in the order in which they `arrived`. */
export function eachApart(
  { arrangement: { variables }, values, squares }: Settled,
  arrived: readonly VariableState[],
  apart: ReadonlyMap<string, Staged>,
): ReadonlyMap<string, Staged> {
  const shared = new Map<VariableState, Staged>();
  let offset = values;
  for (const [place, variable] of variables.entries()) {
    const { count } = variable, wire = { dtype: "F32", offset } as const;
    const sum = squares[place] as number;
    shared.set(variable, { kind: "dense", variable, values: offset, count, squares: sum, wire });
    offset += 4 * count;
  }
  return new Map(
    arrived.map((variable) =>
      [variable.name, shared.get(variable) ?? apart.get(variable.name) as Staged] as const
    ),
  );
}

interface RegionBytes {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

class RegionSink implements ByteSink {
  readonly #place: { readonly arena: Arena };
  readonly #at: RegionBytes;
  readonly #closed: () => void;
  #written = 0;

  constructor(place: { readonly arena: Arena }, at: RegionBytes, closed: () => void) {
    this.#place = place;
    this.#at = at;
    this.#closed = closed;
  }

  write(piece: Uint8Array): void {
    const { name, offset, bytes } = this.#at;
    if (this.#written + piece.length > bytes) {
      throw new RangeError(`Got more than ${bytes} bytes for ${name}`);
    }
    this.#place.arena.u8(offset + this.#written, piece.length).set(piece);
    this.#written += piece.length;
  }

  close(): void {
    const { name, bytes } = this.#at;
    if (this.#written !== bytes) throw new RangeError(`Got ${this.#written} of ${bytes} bytes for ${name}`);
    this.#closed();
  }
}
