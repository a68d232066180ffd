/**
 * A body's tensors on their way into a run: checked against the run's variables as they are named, then written
 * straight into the run's arena (sinks.ts).
 *
 * Nothing of the run changes here. Invariant: every region belongs to this staging until `release`, which is
 * called exactly when the tensors were applied or refused; views are made per write, since memory may grow.
 */
import { ELEMENT_BYTES, type ElementType } from "../../kernels/pass.ts";
import { StepwellError } from "../errors.ts";
import { type ByteSink, elementCount, sameShape, type Shape, showShape, type WireDtype } from "../tensor.ts";
import type { Staging } from "./api.ts";
import type { Memory } from "./memory.ts";
import { blockBytes, floatSink, indexSink } from "./sinks.ts";
import type { RunState, VariableState } from "./state.ts";

/** Where the bytes of a tensor stand as they came: the float32 values, or float16 and bfloat16 beside them. */
interface WireBytes {
  readonly dtype: "F32" | "F16" | "BF16";
  readonly offset: number;
}

/** A dense tensor that has come in whole. */
export interface StagedDense {
  readonly kind: "dense";
  readonly variable: VariableState;
  /** Byte offset of the float32 values. */
  readonly values: number;
  readonly count: number;
  /** Float64 sum of the float32 squares; finite only if every element is. */
  squares: number;
  wire: WireBytes;
}

/** Rows of a variable that have come in whole. */
export interface StagedSparse {
  readonly kind: "sparse";
  readonly variable: VariableState;
  /** Byte offset of the int32 row numbers, each in range. */
  readonly indices: number;
  readonly rows: number;
  readonly values: number;
  readonly count: number;
  squares: number;
  wire: WireBytes;
}

export type Staged = StagedDense | StagedSparse;
interface Wire {
  readonly dtype: WireDtype;
  readonly shape: Shape;
}

const FLOATS: Readonly<Partial<Record<WireDtype, ElementType>>> = {
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
  F64: "f64",
};

interface StagingParts {
  readonly kind: "gradients" | "values";
  readonly memory: Memory;
  readonly state: RunState;
  /** Whether tensors are wanted in the bytes in which they came. */
  readonly keepsBytes: boolean;
  readonly released: () => void;
}

export class ArenaStaging implements Staging {
  readonly kind: "gradients" | "values";
  /** Variables without a gradient: Keras' None. */
  readonly absent: string[] = [];
  readonly tensors = new Map<string, Staged>();
  readonly #memory: Memory;
  readonly #state: RunState;
  readonly #keepsBytes: boolean;
  readonly #released: () => void;
  /** Bytes by offset. */
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

  /** Whether every tensor that was opened has come in whole. */
  get complete(): boolean {
    return this.#open === 0;
  }

  allocate(bytes: number): number {
    const offset = this.#memory.allocate(this.#state.arena, bytes);
    this.#regions.set(offset, bytes);
    this.#bytes += bytes;
    return offset;
  }

  /** Leaves a region to the caller, who frees it. */
  handOver(offset: number): void {
    this.#bytes -= this.#regions.get(offset) ?? 0;
    this.#regions.delete(offset);
  }

  dense(name: string, wire: Wire): ByteSink {
    const variable = this.#take(name);
    this.#checkShape(name, wire.shape, variable.shape);
    const type = this.#float(name, wire.dtype);
    const offset = this.allocate(4 * variable.count);
    const staged: StagedDense = {
      kind: "dense",
      variable,
      values: offset,
      count: variable.count,
      squares: 0,
      wire: { dtype: "F32", offset },
    };
    this.tensors.set(name, staged);
    return this.#floatSink(staged, type);
  }

  sparse(name: string, indices: Wire, values: Wire): { indices: ByteSink; values: ByteSink } {
    const variable = this.#take(name);
    if (this.kind === "values") {
      this.#refuse("invalid_request", name, "is sparse, must be dense: values are set whole");
    }
    if (variable.shape.length === 0) {
      this.#refuse("shape_mismatch", name, "is a scalar, which has no rows for a sparse gradient");
    }
    const rows = elementCount(indices.shape);
    // Nested JSON cannot say how long the rows of no rows are.
    const wanted = [rows, ...variable.shape.slice(1)];
    if (rows > 0 || elementCount(values.shape) > 0) this.#checkShape(`${name}#values`, values.shape, wanted);
    const type = this.#float(name, values.dtype);
    const offset = this.allocate(4 * rows * variable.rowLength);
    const staged: StagedSparse = {
      kind: "sparse",
      variable,
      indices: this.allocate(4 * rows),
      rows,
      values: offset,
      count: rows * variable.rowLength,
      squares: 0,
      wire: { dtype: "F32", offset },
    };
    this.tensors.set(name, staged);
    const list = { arena: this.#state.arena, variable, target: staged.indices, rows };
    return {
      indices: this.#counted(indexSink(list, indices.dtype)),
      values: this.#floatSink(staged, type),
    };
  }

  none(name: string): void {
    this.#take(name);
    if (this.kind === "values") this.#refuse("invalid_request", name, "is null, must be a tensor");
    this.absent.push(name);
  }

  release(): void {
    for (const offset of this.#regions.keys()) this.#memory.free(this.#state.arena, offset);
    this.#regions.clear();
    this.tensors.clear();
    this.#bytes = 0;
    this.#released();
  }

  /** The variable, if this body has not named it before. */
  #take(name: string): VariableState {
    const variable = this.#state.variable(name);
    if (this.tensors.has(name) || this.absent.includes(name)) {
      this.#refuse("invalid_request", name, "is given twice, must be given once");
    }
    return variable;
  }

  #checkShape(name: string, given: Shape, wanted: Shape): void {
    if (!sameShape(given, wanted)) {
      this.#refuse("shape_mismatch", name, `has shape ${showShape(given)}, must be ${showShape(wanted)}`);
    }
  }

  #float(name: string, dtype: WireDtype): ElementType {
    return FLOATS[dtype] ??
      this.#refuse("dtype_mismatch", name, `is ${dtype}, must be F32, F16, BF16 or F64`);
  }

  #refuse(
    code: "invalid_request" | "shape_mismatch" | "dtype_mismatch",
    name: string,
    problem: string,
  ): never {
    throw new StepwellError(code, `Cannot take the tensor "${name}": it ${problem}`, [
      { path: this.kind === "gradients" ? `gradients.${name}` : `variables.${name}`, message: problem },
    ]);
  }

  #floatSink(staged: Staged, type: ElementType): ByteSink {
    const { arena } = this.#state;
    const { variable: { name }, count, values: target } = staged;
    const keeps = this.#keepsBytes && (type === "f16" || type === "bf16");
    const bytes = keeps ? count * ELEMENT_BYTES[type] : blockBytes(type, count);
    const buffer = type === "f32" ? target : this.allocate(bytes);
    if (keeps) staged.wire = { dtype: type === "f16" ? "F16" : "BF16", offset: buffer };
    const into = { arena, name, type, buffer, keeps, target, count };
    return this.#counted(floatSink(into, (squares) => staged.squares = squares));
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

/** Where the first element that is not finite stands, as people write indices, and its value. */
export function firstNonFinite(state: RunState, staged: Staged): { at: string; value: number } | undefined {
  if (Number.isFinite(staged.squares)) return undefined;
  const values = state.arena.f32(staged.values, staged.count);
  const index = values.findIndex((value) => !Number.isFinite(value));
  // Squares overflow float32 from 1.8e19 on.
  if (index < 0) return undefined;
  const { shape } = staged.variable;
  const dimensions = staged.kind === "sparse" ? [staged.rows, ...shape.slice(1)] : shape;
  let rest = index;
  const place = dimensions.toReversed().map((size) => {
    const at = rest % size;
    rest = (rest - at) / size;
    return at;
  }).toReversed();
  return { at: showShape(place), value: values[index] as number };
}
