/**
 * An assembler for the part of the WebAssembly binary format that kernels need: instructions are arrays of bytes that
 * nest like expressions, and `assemble` builds one module. It knows no formulas.
 *
 * Not an optimizer and not a validator: V8 validates every module, and the tests also validate with binaryen.
 * Opcodes: WebAssembly 2.0 specification, "Binary Format". Relaxed SIMD is left out on purpose: it is not
 * deterministic across machines.
 */

export type Code = readonly number[];

export const I32 = 0x7f, F32 = 0x7d, F64 = 0x7c, V128 = 0x7b;
export type ValueType = typeof I32 | typeof F32 | typeof F64 | typeof V128;

/** Unsigned LEB128. */
export function u32(value: number): number[] {
  const bytes: number[] = [];
  do {
    const low = value & 0x7f;
    value >>>= 7;
    bytes.push(value === 0 ? low : low | 0x80);
  } while (value !== 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit integer. */
function s32(value: number): number[] {
  const bytes: number[] = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    if ((value === 0 && (low & 0x40) === 0) || (value === -1 && (low & 0x40) !== 0)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
}

const bytesOf = (array: ArrayBufferView<ArrayBuffer>) =>
  Array.from(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));

const operation = (opcode: number) => (...operands: Code[]): Code => [...operands.flat(), opcode];
const simd = (opcode: number) => (...operands: Code[]): Code => [...operands.flat(), 0xfd, ...u32(opcode)];
const simdLane = (opcode: number) => (lane: number, ...operands: Code[]): Code => [
  ...operands.flat(),
  0xfd,
  ...u32(opcode),
  lane,
];
/** Alignment hints stay at one byte, because rows begin at any multiple of four; a hint changes no result. */
const memory = (prefix: Code) => (offset: number, ...operands: Code[]): Code => [
  ...operands.flat(),
  ...prefix,
  0,
  ...u32(offset),
];

export const local = {
  get: (index: number): Code => [0x20, ...u32(index)],
  set: (index: number, value: Code): Code => [...value, 0x21, ...u32(index)],
};

export const global = {
  set: (index: number, value: Code): Code => [...value, 0x24, ...u32(index)],
};

export const i32 = {
  const: (value: number): Code => [0x41, ...s32(value | 0)],
  load: memory([0x28]),
  store: memory([0x36]),
  load8s: memory([0x2c]),
  load16u: memory([0x2f]),
  eqz: operation(0x45),
  eq: operation(0x46),
  ltu: operation(0x49),
  geu: operation(0x4f),
  add: operation(0x6a),
  sub: operation(0x6b),
  mul: operation(0x6c),
  and: operation(0x71),
  or: operation(0x72),
  shl: operation(0x74),
  shru: operation(0x76),
};

export const f32 = {
  load: memory([0x2a]),
  store: memory([0x38]),
  mul: operation(0x94),
  convertI32s: operation(0xb2),
};

export const f64 = {
  const: (value: number): Code => [0x44, ...bytesOf(new Float64Array([value]))],
  load: memory([0x2b]),
  store: memory([0x39]),
  add: operation(0xa0),
  max: operation(0xa5),
  promote: operation(0xbb),
};

export const v128 = {
  constI32: (value: number): Code => [0xfd, 0x0c, ...bytesOf(new Int32Array(4).fill(value))],
  constF32: (value: number): Code => [0xfd, 0x0c, ...bytesOf(new Float32Array(4).fill(value))],
  constF64: (value: number): Code => [0xfd, 0x0c, ...bytesOf(new Float64Array(2).fill(value))],
  /** Four 32-bit lanes with individual values. */
  const: (lanes: readonly number[]): Code => [0xfd, 0x0c, ...bytesOf(Uint32Array.from(lanes))],
  zero: [0xfd, 0x0c, ...new Array<number>(16).fill(0)] as Code,
  load: memory([0xfd, 0x00]),
  load32splat: memory([0xfd, 0x09]),
  store: memory([0xfd, 0x0b]),
  load32zero: memory([0xfd, 0x5c]),
  load64zero: memory([0xfd, 0x5d]),
  /** `store32lane(offset, address, value)` stores lane 0. */
  store32lane: (offset: number, ...operands: Code[]): Code => [
    ...operands.flat(),
    0xfd,
    0x5a,
    0,
    ...u32(offset),
    0,
  ],
  and: simd(0x4e),
  andnot: simd(0x4f),
  or: simd(0x50),
  xor: simd(0x51),
  bitselect: simd(0x52),
  anyTrue: simd(0x53),
  /** Selects `lanes` from the eight 32-bit lanes of two vectors. */
  shuffle32: (a: Code, b: Code, lanes: readonly number[]): Code => [
    ...a,
    ...b,
    0xfd,
    0x0d,
    ...lanes.flatMap((lane) => [4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3]),
  ],
};

export const i16x8 = {
  extendLow8s: simd(0x87),
  extendHigh8s: simd(0x88),
};

export const i32x4 = {
  splat: simd(0x11),
  extract: simdLane(0x1b),
  eq: simd(0x37),
  gts: simd(0x3b),
  lts: simd(0x39),
  extendLow16s: simd(0xa7),
  extendHigh16s: simd(0xa8),
  extendLow16u: simd(0xa9),
  shl: simd(0xab),
  shru: simd(0xad),
  add: simd(0xae),
  maxs: simd(0xb8),
};

export const f32x4 = {
  splat: simd(0x13),
  extract: simdLane(0x1f),
  replace: simdLane(0x20),
  eq: simd(0x41),
  ne: simd(0x42),
  lt: simd(0x43),
  gt: simd(0x44),
  le: simd(0x45),
  ge: simd(0x46),
  floor: simd(0x68),
  ceil: simd(0x67),
  nearest: simd(0x6a),
  abs: simd(0xe0),
  neg: simd(0xe1),
  sqrt: simd(0xe3),
  add: simd(0xe4),
  sub: simd(0xe5),
  mul: simd(0xe6),
  div: simd(0xe7),
  pmin: simd(0xea),
  pmax: simd(0xeb),
  convertI32s: simd(0xfa),
  demoteF64x2Zero: simd(0x5e),
};

export const i64x2 = {
  extendLow32u: simd(0xc9),
  shl: simd(0xcb),
  shrs: simd(0xcc),
  shru: simd(0xcd),
  /** 64-bit products of the lower two 32-bit lanes, and of the upper two. */
  multiplyLow32u: simd(0xde),
  multiplyHigh32u: simd(0xdf),
};

export const f64x2 = {
  extract: simdLane(0x21),
  gt: simd(0x4a),
  sqrt: simd(0xef),
  add: simd(0xf0),
  sub: simd(0xf1),
  mul: simd(0xf2),
  div: simd(0xf3),
  max: simd(0xf5),
  convertLowI32u: simd(0xff),
  promoteLowF32x4: simd(0x5f),
};

export const call = (index: number, ...operands: Code[]): Code => [...operands.flat(), 0x10, ...u32(index)];

/** Repeats `body` while `condition`, an i32 that is evaluated before each iteration, is not zero. */
export function whileLoop(condition: Code, body: Code): Code {
  return [0x02, 0x40, 0x03, 0x40, ...condition, 0x45, 0x0d, 1, ...body, 0x0c, 0, 0x0b, 0x0b];
}

export function ifThen(condition: Code, then: Code, otherwise: Code = []): Code {
  return [...condition, 0x04, 0x40, ...then, ...(otherwise.length > 0 ? [0x05, ...otherwise] : []), 0x0b];
}

/** A function of the host: `name` in the import module "math", f32 arguments, one f32 result. */
export interface HostFunction {
  readonly name: string;
  readonly arity: number;
}

export interface KernelFunction {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
  /** Locals after the parameters, in index order. */
  readonly locals: readonly ValueType[];
  readonly body: Code;
  readonly imports: readonly HostFunction[];
  /** The number of mutable int32 globals, 0 by default. */
  readonly globals?: number;
}

const vector = (items: readonly Code[]): number[] => [...u32(items.length), ...items.flat()];
const section = (id: number, content: Code): number[] => [id, ...u32(content.length), ...content];
const text = (value: string): number[] => [...u32(value.length), ...new TextEncoder().encode(value)];

/**
 * One module with one function, exported as "kernel", that works on the imported memory "arena" "memory".
 * Host functions come first in the index space: `call(0)` calls the first of `imports`.
 */
export function assemble(kernel: KernelFunction): Uint8Array<ArrayBuffer> {
  const types = [
    ...kernel.imports.map((host) => [0x60, ...vector(Array(host.arity).fill([F32])), 1, F32]),
    [
      0x60,
      ...vector(kernel.parameters.map((type) => [type])),
      ...vector(kernel.results.map((type) => [type])),
    ],
  ];
  const imports = [
    ...kernel.imports.map((host, index) => [...text("math"), ...text(host.name), 0x00, ...u32(index)]),
    // With at least one page, V8 checks only pointers against the end of memory, not offsets (0.8 of the time).
    [...text("arena"), ...text("memory"), 0x02, 0x00, 0x01],
  ];
  const code = [...vector(kernel.locals.map((type) => [1, type])), ...kernel.body, 0x0b];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)),
    ...section(2, vector(imports)),
    ...section(3, vector([u32(kernel.imports.length)])),
    ...section(6, vector(Array(kernel.globals ?? 0).fill([I32, 1, ...i32.const(0), 0x0b]))),
    ...section(7, vector([[...text("kernel"), 0x00, ...u32(kernel.imports.length)]])),
    ...section(10, vector([[...u32(code.length), ...code]])),
  ]);
}
