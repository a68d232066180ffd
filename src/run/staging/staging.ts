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
import { type FloatRegion, floatRegion, isFloat } from "./float_region.ts";
import type { Memory } from "../tensors/memory.ts";
import { integerSink } from "./integer_sink.ts";
import { placeEntries } from "./packed_sinks.ts";
import { indexBytes, indexSink } from "./sinks.ts";
import type { Staged, StagedDense, StagedSparse } from "./staged.ts";
import { eachApart, type Settled, Together } from "./together.ts";
import { Arrangement } from "./arrangement.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

interface StagingParts {
  readonly kind: "gradients" | "values";
  readonly memory: Memory;
  readonly state: RunState;
  /** Whether to keep the received bytes of tensors. */
  readonly keepsBytes: boolean;
  /** Whether small dense tensors share regions: then no region of theirs can be handed over. */
  readonly sharesRegions?: boolean;
  readonly released: () => void;
}

/** The arrangement of all optimized variables in order. */
const wholeRuns = new WeakMap<RunState, Arrangement>();

export class ArenaStaging implements Staging {
  readonly kind: "gradients" | "values";
  /** Names of the variables without a gradient: Keras' None. */
  readonly absent: string[] = [];
  /** The tensors that have regions of their own. */
  readonly apart = new Map<string, Staged>();
  /** All variables that have a tensor, in the order of the body. */
  readonly #arrived: VariableState[] = [];
  #together: Together | undefined;
  #expanded: ReadonlyMap<string, Staged> | undefined;
  /** By the index of a variable: whether the body has named it. */
  readonly #named: Uint8Array;
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
    this.#named = new Uint8Array(parts.state.variables.size);
    if (parts.sharesRegions) this.#together = this.#newTogether();
  }

  #newTogether(): Together {
    return new Together({
      arena: () => this.#state.arena,
      allocate: (bytes) => this.allocate(bytes),
      closed: () => void (this.#open -= 1),
    });
  }

  /** Count of the variables that have a tensor. */
  get size(): number {
    return this.apart.size + (this.#together?.order.length ?? 0);
  }

  /** All variables that have a tensor, in the order of the body. */
  get arrived(): readonly VariableState[] {
    return this.apart.size === 0 && this.#together ? this.#together.order : this.#arrived;
  }

  /** The tensors that share regions; undefined if there are none. All must be complete. */
  get together(): (Settled & { readonly received: () => Uint8Array[] }) | undefined {
    const together = this.#together;
    if (!together || together.order.length === 0) return undefined;
    return { ...together.settle(), received: () => together.received() };
  }

  /** Each tensor by itself, in the order of the body. */
  get tensors(): ReadonlyMap<string, Staged> {
    const { together } = this;
    return together ? this.#expanded ??= eachApart(together, this.arrived, this.apart) : this.apart;
  }

  /** Takes all tensors of a body that has the same ones as an earlier one. */
  all(arrangement: Arrangement): ByteSink {
    if (this.size > 0) throw new Error("The staging has tensors already");
    this.#together ??= this.#newTogether();
    this.#open += 1;
    return this.#together.addAll(arrangement);
  }

  /** Takes float32 values of all optimized variables, in the run's order. */
  allInOrder(): { readonly sink: ByteSink; readonly bytes: number } {
    let arrangement = wholeRuns.get(this.#state);
    if (!arrangement) wholeRuns.set(this.#state, arrangement = new Arrangement(this.#state.optimized));
    return { sink: this.all(arrangement), bytes: 4 * arrangement.count };
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
    if (this.#together && this.#isShared(variable, tensor)) {
      this.#arrive(variable);
      this.#open += 1;
      return { values: this.#together.add(variable) };
    }
    const whole = (squares: number) => staged.squares = squares;
    const { sinks, ...region } = this.#integers(variable, tensor, whole) ??
      this.#floats({ name, count: variable.count, whole }, tensor);
    const staged: StagedDense = { kind: "dense", variable, squares: 0, ...region };
    this.#arrive(variable);
    this.apart.set(name, staged);
    return sinks;
  }

  #isShared({ home, count, role }: VariableState, { values: { dtype }, scale }: PackedTensor): boolean {
    return home.bytes > 4 * count && dtype === "F32" && !scale &&
      (this.kind === "values" || role === "optimize");
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
    this.#arrive(variable);
    this.apart.set(name, staged);
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
    this.#arrive(variable);
    this.apart.set(name, staged);
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
    const { index } = this.#take(name);
    if (this.kind === "values") this.#refuse("invalid_request", name, "is null, must be a tensor");
    this.#named[index] = 1;
    this.absent.push(name);
  }

  release(): void {
    for (const offset of this.#regions.keys()) this.#memory.release(this.#state.arena, offset);
    this.#regions.clear();
    this.apart.clear();
    this.#bytes = 0;
    this.#released();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** The variable. Throws if this body has named it before. */
  #take(name: string): VariableState {
    const variable = this.#state.variable(name);
    if (this.#named[variable.index] === 1) {
      this.#refuse("invalid_request", name, "is given twice, must be given once");
    }
    return variable;
  }

  #arrive(variable: VariableState): void {
    this.#named[variable.index] = 1;
    this.#arrived.push(variable);
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
