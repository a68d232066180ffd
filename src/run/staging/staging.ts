/**
 * Receives a body's tensors: checks each one against the run's variables when it is announced, then writes it
 * directly into the run's arena (sinks.ts).
 *
 * It does not change the run. Invariants: every region belongs to this staging until it is handed over or `release`
 * is called, after the tensors were applied or refused; each write makes new views, because memory may grow.
 */
import {
  type ByteSink,
  elementCount,
  fitsShape,
  type PackedSinks,
  type PackedTensor,
  type Shape,
  showShape,
  type WholeBodies,
  type WireTensor,
} from "../../tensor.ts";
import type { Staging } from "../api/run_session.ts";
import type { FloatRegion } from "./float_region.ts";
import type { Memory } from "../tensors/memory.ts";
import { placeEntries } from "./packed_sinks.ts";
import { Regions } from "./regions.ts";
import { indexBytes, indexSink } from "./sinks.ts";
import type { Staged, StagedDense, StagedSparse } from "./staged.ts";
import { denseRegion, type Kind, refuse, tensorRegion } from "./tensor_region.ts";
import { eachApart, type Settled, Together } from "./together.ts";
import type { Arrangement } from "./arrangement.ts";
import { Bodies } from "./bodies.ts";
import type { RunState, VariableState } from "../tensors/state.ts";

interface StagingParts {
  readonly kind: Kind;
  readonly memory: Memory;
  readonly state: RunState;
  /** Whether to keep the received bytes of tensors. */
  readonly keepsBytes: boolean;
  /** The bodies that the run has got. */
  readonly bodies?: Bodies;
  /** Whether small tensors share regions: then none of theirs can be handed over. */
  readonly sharesRegions?: boolean;
  readonly released: () => void;
}

export class ArenaStaging implements Staging {
  readonly kind: Kind;
  /** Names of the variables without a gradient: Keras' None. */
  readonly absent: string[] = [];
  /** The tensors that have regions of their own. */
  readonly apart = new Map<string, Staged>();
  /** All variables that have a tensor, in the order of the body. */
  readonly #arrived: VariableState[] = [];
  readonly whole: WholeBodies | undefined;
  readonly #bodies: Bodies;
  #together: Together | undefined;
  #expanded: ReadonlyMap<string, Staged> | undefined;
  /** By the index of a variable: whether the body has named it. */
  readonly #named: Uint8Array;
  readonly #state: RunState;
  readonly #keepsBytes: boolean;
  readonly #released: () => void;
  readonly #regions: Regions;
  #open = 0;

  constructor(parts: StagingParts) {
    this.kind = parts.kind;
    this.#regions = new Regions(parts.memory, () => parts.state.arena);
    this.#state = parts.state;
    this.#keepsBytes = parts.keepsBytes;
    this.#released = parts.released;
    this.#named = new Uint8Array(parts.state.variables.size);
    this.#bodies = parts.bodies ?? new Bodies(parts.state);
    if (!parts.sharesRegions) return;
    this.#together = new Together(this.#regions, parts.state);
    this.whole = this.#bodies.of(this.kind, {
      isShared: (variable) => this.#isShared(variable),
      begin: (arrangement) => this.#all(arrangement),
    });
  }

  /** Count of the variables that have a tensor. */
  get size(): number {
    return this.apart.size + (this.#together?.order.length ?? 0);
  }

  /** All variables that have a tensor, in the order of the body. */
  get arrived(): readonly VariableState[] {
    const order = this.#together?.order ?? [];
    if (order.length === 0) return [...this.apart.values()].map(({ variable }) => variable);
    return this.apart.size === 0 ? order : this.#arrived;
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

  #all(arrangement: Arrangement): ByteSink {
    if (this.size > 0) throw new Error("The staging has tensors already");
    this.#together ??= new Together(this.#regions, this.#state);
    return this.#together.addAll(arrangement);
  }

  /** Takes float32 values of all optimized variables, in the run's order. */
  allInOrder(): { readonly sink: ByteSink; readonly bytes: number } {
    const arrangement = this.#bodies.inOrder;
    return { sink: this.#all(arrangement), bytes: 4 * arrangement.count };
  }

  /** Bytes that this staging holds in the arena. */
  get bytes(): number {
    return this.#regions.bytes;
  }

  /** Whether every tensor that was announced has been received completely. */
  get complete(): boolean {
    return this.#open === 0 && !this.#together?.isOpen;
  }

  allocate(bytes: number): number {
    return this.#regions.allocate(bytes);
  }

  /** Hands a region over to the caller, who must release it. */
  handOver(offset: number): void {
    this.#regions.handOver(offset);
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
    const { values: { dtype }, scale } = tensor;
    if (this.#together && dtype === "F32" && !scale && this.#isShared(variable)) {
      this.#arrive(variable);
      return { values: this.#together.add(variable) };
    }
    const whole = (squares: number) => staged.squares = squares;
    const own = { variable, count: variable.count, packed: tensor };
    const { sinks, ...region } = denseRegion(this.#place, own, whole);
    const staged: StagedDense = { kind: "dense", variable, squares: 0, ...region };
    this.#arrive(variable);
    this.apart.set(name, staged);
    return this.#opened(sinks);
  }

  #isShared({ home, count, role }: VariableState): boolean {
    return home.bytes > 4 * count && (this.kind === "values" || role === "optimize");
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
    const own = { variable, count: rows * variable.rowLength, packed: tensor };
    const { sinks, ...region } = tensorRegion(this.#place, own, whole);
    const indices = this.allocate(indexBytes(dtype, rows));
    const staged: StagedSparse = { kind: "sparse", variable, indices, rows, squares: 0, ...region };
    this.#arrive(variable);
    this.apart.set(name, staged);
    const { arena } = this.#state;
    const list = { arena, name, target: indices, count: rows, limit: variable.rows };
    return { ...this.#opened(sinks), indices: this.#counted(indexSink(list, dtype)) };
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
    const own = { variable, count: entries, packed: tensor };
    const { sinks, ...region } = tensorRegion(this.#place, own, whole);
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
    return { ...this.#opened(sinks), indices: this.#counted({ write: (bytes) => list.write(bytes), close }) };
  }

  none(name: string): void {
    const { index } = this.#take(name);
    if (this.kind === "values") this.#refuse("invalid_request", name, "is null, must be a tensor");
    this.#named[index] = 1;
    this.absent.push(name);
  }

  release(): void {
    this.#regions.release();
    this.apart.clear();
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

  #refuse(code: "invalid_request" | "shape_mismatch", name: string, problem: string): never {
    refuse(this.kind, code, { name, problem });
  }

  get #place() {
    const allocate = (bytes: number) => this.allocate(bytes);
    return { kind: this.kind, arena: this.#state.arena, allocate, keepsBytes: this.#keepsBytes };
  }

  #opened({ values, scale }: FloatRegion["sinks"]): PackedSinks {
    return { values: this.#counted(values), ...(scale && { scale: this.#counted(scale) }) };
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
