/**
 * Receives a body's tensors: checks each one against the run's variables when it is announced, then writes it
 * directly into the run's arena (sinks.ts).
 *
 * It does not change the run. Invariants: every region belongs to this staging until it is handed over or `release`
 * is called, after the tensors were applied or refused; each write makes new views, because memory may grow.
 */
import { refusal } from "../../errors.ts";
import {
  type ByteSink,
  elementCount,
  fitsShape,
  type PackedSinks,
  type PackedTensor,
  type Shape,
  showShape,
  type WireTensor,
} from "../../tensor.ts";
import { type Inexact, isInteger, showInexact } from "../../wire/integers.ts";
import type { Staging } from "../api/run_session.ts";
import { type FloatRegion, floatRegion, isFloat, type WireBytes } from "./float_region.ts";
import type { Memory } from "../tensors/memory.ts";
import { integerSink } from "./integer_sink.ts";
import { placeEntries } from "./packed_sinks.ts";
import { indexBytes, indexSink } from "./sinks.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

/** A dense tensor in staging. */
export interface StagedDense {
  readonly kind: "dense";
  readonly variable: VariableState;
  /** Byte offset of the float32 values. */
  readonly values: number;
  readonly count: number;
  /** Float64 sum of the float32 squares; finite only if every element is. */
  squares: number;
  readonly wire: WireBytes;
  /** For a tensor received as entries, whose values are at `wire`: byte offset of their int32 element numbers. */
  readonly entries?: { readonly indices: number; readonly count: number };
}

/** Rows of a variable in staging. */
export interface StagedSparse {
  readonly kind: "sparse";
  readonly variable: VariableState;
  /** Byte offset of the int32 row numbers, each in range. */
  readonly indices: number;
  readonly rows: number;
  readonly values: number;
  readonly count: number;
  squares: number;
  readonly wire: WireBytes;
}

export type Staged = StagedDense | StagedSparse;

interface StagingParts {
  readonly kind: "gradients" | "values";
  readonly memory: Memory;
  readonly state: RunState;
  /** Whether to keep the received bytes of tensors. */
  readonly keepsBytes: boolean;
  readonly released: () => void;
}

export class ArenaStaging implements Staging {
  readonly kind: "gradients" | "values";
  /** Names of the variables without a gradient: Keras' None. */
  readonly absent: string[] = [];
  readonly tensors = new Map<string, Staged>();
  readonly #memory: Memory;
  readonly #state: RunState;
  readonly #keepsBytes: boolean;
  readonly #released: () => void;
  /** Lengths of the regions in bytes, by offset. */
  readonly #regions = new Map<number, number>();
  #bytes = 0;
  #open = 0;

  constructor(parts: StagingParts) {
    this.kind = parts.kind;
    this.#memory = parts.memory;
    this.#state = parts.state;
    this.#keepsBytes = parts.keepsBytes;
    this.#released = parts.released;
  }

  /** Bytes that this staging holds in the arena. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether every tensor that was announced has been received completely. */
  get complete(): boolean {
    return this.#open === 0;
  }

  allocate(bytes: number): number {
    const offset = this.#memory.allocate(this.#state.arena, bytes);
    this.#regions.set(offset, bytes);
    this.#bytes += bytes;
    return offset;
  }

  /** Hands a region over to the caller, who must release it. */
  handOver(offset: number): void {
    this.#bytes -= this.#regions.get(offset) ?? 0;
    this.#regions.delete(offset);
  }

  dense(name: string, values: WireTensor): ByteSink {
    return this.#dense(name, { values, flat: false }).values;
  }

  sparse(name: string, indices: WireTensor, values: WireTensor): { indices: ByteSink; values: ByteSink } {
    return this.#rows(name, { values, indices, flat: false });
  }

  packed(name: string, { values, scale, indices, flat }: PackedTensor): PackedSinks {
    if (this.kind === "values") {
      this.#refuse("invalid_request", name, "is in a compact form, must be plain: values are set whole");
    }
    const tensor = { values, flat, ...(scale && { scale }) };
    if (!indices) return this.#dense(name, tensor);
    return flat ? this.#flat(name, { ...tensor, indices }) : this.#rows(name, { ...tensor, indices });
  }

  #dense(name: string, tensor: PackedTensor): PackedSinks {
    const variable = this.#take(name);
    this.#checkShape(name, tensor.values.shape, variable.shape);
    const whole = (squares: number) => staged.squares = squares;
    const { sinks, ...region } = this.#integers(variable, tensor, whole) ??
      this.#floats({ name, count: variable.count, whole }, tensor);
    const staged: StagedDense = { kind: "dense", variable, squares: 0, ...region };
    this.tensors.set(name, staged);
    return sinks;
  }

  #rows(name: string, tensor: PackedTensor & { readonly indices: WireTensor }) {
    const variable = this.#take(name);
    if (this.kind === "values") {
      this.#refuse("invalid_request", name, "is sparse, must be dense: values are set whole");
    }
    if (variable.shape.length === 0) {
      this.#refuse("shape_mismatch", name, "is a scalar, which has no rows for a sparse gradient");
    }
    const { indices: { dtype, shape }, values } = tensor;
    const rows = elementCount(shape);
    // Nested JSON cannot express the row length of a tensor without rows.
    const wanted = [rows, ...variable.shape.slice(1)];
    if (rows > 0 || elementCount(values.shape) > 0) this.#checkShape(`${name}#values`, values.shape, wanted);
    const whole = (squares: number) => staged.squares = squares;
    const { sinks, ...region } = this.#floats({ name, count: rows * variable.rowLength, whole }, tensor);
    const indices = this.allocate(indexBytes(dtype, rows));
    const staged: StagedSparse = { kind: "sparse", variable, indices, rows, squares: 0, ...region };
    this.tensors.set(name, staged);
    const { arena } = this.#state;
    const list = { arena, name, target: indices, count: rows, limit: variable.rows };
    return { ...sinks, indices: this.#counted(indexSink(list, dtype)) };
  }

  /** The entries have regions of their own, from which the tensor is made, so that their received bytes are kept. */
  #flat(name: string, tensor: PackedTensor & { readonly indices: WireTensor }): PackedSinks {
    const variable = this.#take(name);
    const { arena } = this.#state;
    const entries = elementCount(tensor.indices.shape);
    let open = 2;
    const whole = () => {
      open -= 1;
      if (open > 0) return;
      staged.squares = placeEntries(arena, { indices, values: region.values, entries, target, count });
    };
    const { sinks, ...region } = this.#floats({ name, count: entries, whole }, tensor);
    const { count } = variable, { dtype } = tensor.indices;
    const target = this.allocate(4 * count), indices = this.allocate(indexBytes(dtype, entries));
    const staged: StagedDense = {
      kind: "dense",
      variable,
      values: target,
      count,
      squares: 0,
      wire: region.wire,
      entries: { indices, count: entries },
    };
    this.tensors.set(name, staged);
    const list = indexSink(
      { arena, name, target: indices, count: entries, limit: count },
      tensor.indices.dtype,
    );
    const close = () => {
      list.close();
      whole();
    };
    return { ...sinks, indices: this.#counted({ write: (bytes) => list.write(bytes), close }) };
  }

  none(name: string): void {
    this.#take(name);
    if (this.kind === "values") this.#refuse("invalid_request", name, "is null, must be a tensor");
    this.absent.push(name);
  }

  release(): void {
    for (const offset of this.#regions.keys()) this.#memory.release(this.#state.arena, offset);
    this.#regions.clear();
    this.tensors.clear();
    this.#bytes = 0;
    this.#released();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** The variable. Throws if this body has named it before. */
  #take(name: string): VariableState {
    const variable = this.#state.variable(name);
    if (this.tensors.has(name) || this.absent.includes(name)) {
      this.#refuse("invalid_request", name, "is given twice, must be given once");
    }
    return variable;
  }

  #checkShape(name: string, given: Shape, wanted: Shape): void {
    if (!fitsShape(given, wanted)) {
      this.#refuse("shape_mismatch", name, `has shape ${showShape(given)}, must be ${showShape(wanted)}`);
    }
  }

  #refuse(
    code: "invalid_request" | "shape_mismatch" | "dtype_mismatch" | "invalid_number",
    name: string,
    problem: string,
  ): never {
    const path = this.kind === "gradients" ? `gradients.${name}` : `variables.${name}`;
    throw refusal(code, `take the tensor "${name}"`, { path, called: "it" }, problem);
  }

  /** Integers are taken as values, and as the averages of counts, but not as gradients. */
  #integers(
    { name, shape, count, role }: VariableState,
    { values: { dtype }, scale }: PackedTensor,
    whole: (squares: number) => void,
  ): FloatRegion | undefined {
    if (scale || !isInteger(dtype) || (this.kind === "gradients" && role !== "average")) return undefined;
    const target = this.allocate(4 * count);
    const refuse = (inexact: Inexact) =>
      this.#refuse("invalid_number", name, showInexact(inexact, { dtype, shape }));
    const sink = integerSink({ arena: this.#state.arena, name, dtype, target, count, refuse }, whole);
    const wire = { dtype: "F32", offset: target } as const;
    return { values: target, count, wire, sinks: { values: this.#counted(sink) } };
  }

  #floats(
    { whole, ...floats }: { name: string; count: number; whole: (squares: number) => void },
    tensor: PackedTensor,
  ): FloatRegion {
    if (!isFloat(tensor)) {
      const { values: { dtype }, scale } = tensor;
      const given = scale ? `${dtype} with a scale` : dtype === "I8" ? "I8 without a scale" : dtype;
      this.#refuse("dtype_mismatch", floats.name, `is ${given}, must be F32, F16, BF16 or F64`);
    }
    const { arena } = this.#state, allocate = (bytes: number) => this.allocate(bytes);
    // A gradient's infinity is for the run's policy; a value's would stay.
    const overflowed = this.kind === "gradients" ? undefined : (value: number, index: number) => {
      const problem = `has ${value} at element ${index}, must be within float32's range, ±3.4028235e38`;
      this.#refuse("invalid_number", floats.name, problem);
    };
    const place = { arena, allocate, keepsBytes: this.#keepsBytes, overflowed, ...floats };
    const { sinks: { values, scale }, ...region } = floatRegion(place, tensor, whole);
    const sinks = { values: this.#counted(values), ...(scale && { scale: this.#counted(scale) }) };
    return { ...region, sinks };
  }

  #counted(sink: ByteSink): ByteSink {
    this.#open += 1;
    return {
      write: (bytes) => sink.write(bytes),
      close: () => {
        sink.close();
        this.#open -= 1;
      },
    };
  }
}
