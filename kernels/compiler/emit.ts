/**
 * Code generation: one pass → one WebAssembly SIMD function. It computes what interpret.ts computes, only faster; the
 * tests compare the two bit for bit.
 *
 *     kernel(rowCount, rowLength, indices, tensor pointers…, uniforms…) → float64 totals of the reductions
 *
 * For each row: groups of 16 elements (4 vectors) → single vectors (passes without reductions) → single
 * elements. A single element goes through the same vector code with its value in lane 0, so each op has one
 * emission and no scalar variant.
 *
 * Reductions follow the order that interpret.ts defines. A row is split into blocks of {@link BLOCK} elements. In a
 * block, element j of the full groups goes to float64 accumulator j mod 16; the remaining elements go one by one to
 * a 17th accumulator.
 */
import type { GraphNode } from "../language/graph.ts";
import { BLOCK, GROUP } from "./interpret.ts";
import { emitHostCall, OPS } from "../language/ops.ts";
import { type Access, ELEMENT_BYTES, type ElementType, type Pass } from "./pass.ts";
import { emitLoad } from "./loads.ts";
import { emitStore, mark, watchedStores } from "./stores.ts";
import { touchRows } from "./touch.ts";
import * as wasm from "../wasm/wasm.ts";
import { type Code, f32x4, F64, f64, f64x2, I32, i32, local, V128, v128 } from "../wasm/wasm.ts";

class PassEmitter {
  readonly #nodes: readonly GraphNode[];
  readonly #pass: Pass;
  readonly #parameters: wasm.ValueType[] = [I32, I32, I32];
  readonly #locals: wasm.ValueType[] = [];
  readonly #imports: wasm.HostFunction[] = [];
  /** Locals that are set once, before the rows: by uniform node, and by the code of a constant. */
  readonly #uniforms = new Map<number, number>();
  readonly #constants = new Map<string, number>();
  readonly #prologue: number[] = [];
  readonly #pointers: number[];
  readonly #totals: number[];
  readonly #accumulators: number[][];
  readonly #rests: number[];
  readonly #splats = new Map<number, number>();
  /** Local by node, for each of the four vectors of a group. Vectors that are not computed together share locals. */
  readonly #lanes: Map<number, number>[] = [];
  readonly #atOnce: number;
  readonly #scratch: number;
  /** The stores that are watched (stores.ts), and the local with the greatest exponent that they had. */
  readonly #watched: ReadonlySet<Pass["stores"][number]>;
  readonly #greatest: number;

  constructor(nodes: readonly GraphNode[], pass: Pass) {
    this.#nodes = nodes;
    this.#pass = pass;
    const { tensors, uniforms, reductions } = pass;
    tensors.forEach(() => this.#parameters.push(I32));
    uniforms.forEach(() => this.#parameters.push(wasm.F32));
    this.#pointers = tensors.map(() => this.#local(I32));
    this.#totals = reductions.map(() => this.#local(F64));
    this.#rests = reductions.map(() => this.#local(F64));
    this.#accumulators = reductions.map(() => Array.from({ length: GROUP / 2 }, () => this.#local(V128)));
    this.#scratch = this.#local(V128);
    this.#watched = watchedStores(nodes, pass);
    this.#greatest = this.#local(V128);
    uniforms.forEach((id, index) => {
      const value = f32x4.splat(local.get(3 + tensors.length + index));
      // A comparison of scalars is passed as 1 or 0; `where` needs it as a mask.
      this.#uniforms.set(id, this.#hoist(nodes[id]?.mask ? f32x4.ne(value, v128.zero) : value));
    });
    // Two vectors at a time hide the latency of roots and quotients (Adam in cache takes 0.87 of the time). More
    // than two do not fit the registers, and passes without slow ops gain nothing.
    this.#atOnce = pass.nodes.some((id) => OPS.get(nodes[id]?.op ?? "")?.slow) ? 2 : 1;
    for (let lane = 0; lane < 4; lane++) {
      this.#lanes.push(
        this.#lanes[lane - this.#atOnce] ?? new Map(pass.nodes.map((id) => [id, this.#local(V128)])),
      );
    }
  }

  #local(type: wasm.ValueType): number {
    this.#locals.push(type);
    return this.#parameters.length + this.#locals.length - 1;
  }

  /** Computes `vector` once, before the rows, and returns its local. */
  #hoist(vector: Code): number {
    const index = this.#local(V128);
    this.#prologue.push(...local.set(index, vector));
    return index;
  }

  /** A constant vector in a local of its own; otherwise V8 rebuilds the constant at each use. */
  readonly #constant = (vector: Code): Code => {
    const key = vector.join();
    const index = this.#constants.get(key) ?? this.#hoist(vector);
    this.#constants.set(key, index);
    return local.get(index);
  };

  #value(id: number, lane: number): Code {
    const node = this.#nodes[id] as GraphNode;
    if (node.element) return local.get(this.#lanes[lane]?.get(id) as number);
    if (node.op === "number") return this.#constant(v128.constF32(node.value));
    return local.get(this.#uniforms.get(id) as number);
  }

  #load(tensor: number, element: number, width: 1 | 4): Code {
    const { access, type } = this.#pass.tensors[tensor]?.layout as { access: Access; type: ElementType };
    if (access === "splat") return local.get(this.#splats.get(tensor) as number);
    return emitLoad({
      type,
      address: local.get(this.#pointers[tensor] as number),
      element,
      width,
      scratch: this.#scratch,
      constant: this.#constant,
    });
  }

  #apply(op: string, args: readonly Code[], width: 1 | 4): Code {
    const row = OPS.get(op);
    if (row?.host) {
      let index = this.#imports.findIndex(({ name }) => name === op);
      if (index < 0) index = this.#imports.push({ name: op, arity: row.arity }) - 1;
      return emitHostCall(index, args, width);
    }
    if (!row?.emit) throw new Error(`No emission for ${op}`);
    const [a = [], b = [], c = []] = [...args, ...(row.constants ?? []).map(this.#constant)];
    return row.emit(a, b, c);
  }

  #store(store: Pass["stores"][number], lane: number, width: 1 | 4): Code {
    return emitStore({
      value: this.#value(store.node, lane),
      scratch: this.#scratch,
      greatest: this.#watched.has(store) ? this.#greatest : undefined,
      address: local.get(this.#pointers[store.tensor] as number),
      offset: 16 * lane,
      width,
      flushes: store.flushes,
      constant: this.#constant,
    });
  }

  #reduce(index: number, lane: number, width: 1 | 4): Code {
    const { arg, combine } = this.#pass.reductions[index] as Pass["reductions"][number];
    const value = this.#value(arg, lane);
    if (width === 1) {
      const rest = this.#rests[index] as number;
      return local.set(rest, f64[combine](local.get(rest), f64.promote(f32x4.extract(0, value))));
    }
    return [0, 1].flatMap((half) => {
      const term = f64x2.promoteLowF32x4(half === 0 ? value : v128.shuffle32(value, value, [2, 3, 2, 3]));
      const accumulator = this.#accumulators[index]?.[2 * lane + half] as number;
      return local.set(accumulator, f64x2[combine](local.get(accumulator), term));
    });
  }

  /** Loads, then arithmetic, then stores, for `lanes` vectors or one element. */
  #body(lanes: 1 | 4, width: 1 | 4): Code {
    const { nodes, stores, reductions, tensors } = this.#pass;
    const place = new Map(tensors.map(({ name }, index) => [name, index]));
    const isLoad = (id: number) => this.#nodes[id]?.op === "tensor";
    const step = (id: number, lane: number): Code => {
      const { op, name, args } = this.#nodes[id] as GraphNode;
      const value = isLoad(id)
        ? this.#load(place.get(name) as number, 4 * lane, width)
        : this.#apply(op, args.map((arg) => this.#value(arg, lane)), width);
      return local.set(this.#lanes[lane]?.get(id) as number, value);
    };
    const finish = (lane: number): Code => [
      ...stores.flatMap((store) => this.#store(store, lane, width)),
      ...reductions.flatMap((_, index) => this.#reduce(index, lane, width)),
    ];
    const inOrder = [...nodes.filter(isLoad), ...nodes.filter((id) => !isLoad(id))];
    const code: Code[] = [];
    for (let lane = 0; lane < lanes; lane += this.#atOnce) {
      const together = Array.from({ length: Math.min(this.#atOnce, lanes) }, (_, n) => lane + n);
      code.push(...inOrder.flatMap((id) => together.map((n) => step(id, n))), ...together.map(finish));
    }
    return code.flat();
  }

  #advance(elements: number): Code {
    return this.#pass.tensors.flatMap(({ layout }, index) => {
      if (layout.access === "splat") return [];
      const pointer = this.#pointers[index] as number;
      return local.set(
        pointer,
        i32.add(local.get(pointer), i32.const(elements * ELEMENT_BYTES[layout.type])),
      );
    });
  }

  /** Processes `count` elements from the current pointers on. */
  #walk(count: number): Code {
    const loop = (elements: number, body: Code): Code =>
      wasm.whileLoop(
        i32.geu(local.get(count), i32.const(elements)),
        [
          ...body,
          ...this.#advance(elements),
          ...local.set(count, i32.sub(local.get(count), i32.const(elements))),
        ],
      );
    const vectors = this.#pass.reductions.length > 0 ? [] : loop(4, this.#body(1, 4));
    return [...loop(GROUP, this.#body(4, 4)), ...vectors, ...loop(1, this.#body(1, 1))];
  }

  #enterRow(row: number): Code {
    return this.#pass.tensors.flatMap(({ layout: { access, type } }, index) => {
      const base = local.get(3 + index);
      const pointer = this.#pointers[index] as number;
      const bytes = i32.mul(local.get(1), i32.const(ELEMENT_BYTES[type]));
      if (access === "repeat") return local.set(pointer, base);
      if (access === "splat") {
        const splat = this.#splats.get(index) as number;
        const at = i32.add(base, i32.mul(local.get(row), i32.const(4)));
        return local.set(splat, v128.load32splat(0, at));
      }
      const number = access === "indexed"
        ? i32.load(0, i32.add(local.get(2), i32.mul(local.get(row), i32.const(4))))
        : local.get(row);
      return local.set(pointer, i32.add(base, i32.mul(number, bytes)));
    });
  }

  #touchRows(row: number): Code {
    const tensors = this.#pass.tensors.flatMap(({ layout: { access, type } }, index) => {
      return access === "indexed" ? [{ base: 3 + index, elementBytes: ELEMENT_BYTES[type] }] : [];
    });
    if (tensors.length === 0) return [];
    const newLocal = () => this.#local(I32);
    return touchRows({ row, rowCount: 0, rowLength: 1, indices: 2, tensors, newLocal });
  }

  emit(): Uint8Array<ArrayBuffer> {
    const { reductions, tensors } = this.#pass;
    const row = this.#local(I32), left = this.#local(I32), count = this.#local(I32);
    tensors.forEach(({ layout }, index) => {
      if (layout.access === "splat") this.#splats.set(index, this.#local(V128));
    });
    const takeBlock: Code = [
      ...wasm.ifThen(
        i32.ltu(local.get(left), i32.const(BLOCK)),
        local.set(count, local.get(left)),
        local.set(count, i32.const(BLOCK)),
      ),
      ...local.set(left, i32.sub(local.get(left), local.get(count))),
    ];
    const clear = reductions.flatMap((_, index) => [
      ...local.set(this.#rests[index] as number, f64.const(0)),
      ...(this.#accumulators[index] ?? []).flatMap((accumulator) => local.set(accumulator, v128.zero)),
    ]);
    const close = reductions.flatMap(({ combine }, index) => {
      const total = this.#totals[index] as number;
      return local.set(total, f64[combine](local.get(total), this.#blockTotal(index)));
    });
    const elements = reductions.length > 0
      ? wasm.whileLoop(local.get(left), [...takeBlock, ...clear, ...this.#walk(count), ...close])
      : [...local.set(count, local.get(left)), ...this.#walk(count)];
    const touched = this.#touchRows(row);
    const rows = wasm.whileLoop(
      i32.ltu(local.get(row), local.get(0)),
      [
        ...touched,
        ...this.#enterRow(row),
        ...local.set(left, local.get(1)),
        ...elements,
        ...local.set(row, i32.add(local.get(row), i32.const(1))),
      ],
    );
    const told = this.#watched.size > 0 ? mark(local.get(this.#greatest)) : [];
    return wasm.assemble({
      parameters: this.#parameters,
      results: reductions.map(() => F64),
      locals: this.#locals,
      body: [...this.#prologue, ...rows, ...told, ...this.#totals.flatMap((total) => local.get(total))],
      imports: this.#imports,
      globals: touched.length > 0 ? 1 : 0,
    });
  }

  /** ((a0+a1)+(a2+a3)) + ((a4+a5)+(a6+a7)) over pairs, then low + high, then the rest. */
  #blockTotal(index: number): Code {
    const { combine } = this.#pass.reductions[index] as Pass["reductions"][number];
    let level: Code[] = (this.#accumulators[index] ?? []).map((accumulator) => local.get(accumulator));
    while (level.length > 1) {
      level = Array.from(
        { length: level.length / 2 },
        (_, n) => f64x2[combine](level[2 * n] as Code, level[2 * n + 1] as Code),
      );
    }
    const pair: Code = [...local.set(this.#scratch, level[0] as Code)];
    const low = f64x2.extract(0, local.get(this.#scratch)), high = f64x2.extract(1, local.get(this.#scratch));
    return [...pair, ...f64[combine](f64[combine](low, high), local.get(this.#rests[index] as number))];
  }
}

/** The module of one pass. Throws when an op has no emission; a test over all ops excludes that. */
export function emitPass(nodes: readonly GraphNode[], pass: Pass): Uint8Array<ArrayBuffer> {
  return new PassEmitter(nodes, pass).emit();
}
