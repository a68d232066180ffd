/** A region for one tensor of a body, whose dtype decides whether and how it is taken. */
import type { Arena } from "../../../kernels/arena.ts";
import { refusal } from "../../errors.ts";
import type { PackedTensor } from "../../tensor.ts";
import { type Inexact, isInteger, showInexact } from "../../wire/integers.ts";
import type { VariableState } from "../tensors/state.ts";
import { type FloatRegion, floatRegion, isFloat } from "./float_region.ts";
import { integerSink } from "./integer_sink.ts";

export type Kind = "gradients" | "values";

interface Place {
  readonly kind: Kind;
  readonly arena: Arena;
  readonly allocate: (bytes: number) => number;
  /** Whether to keep the received bytes of values narrower than float32. */
  readonly keepsBytes: boolean;
}

interface Tensor {
  readonly variable: VariableState;
  /** Elements that come: those of the variable, of some of its rows, or some of them. */
  readonly count: number;
  readonly packed: PackedTensor;
}

export function refuse(
  kind: Kind,
  code: "invalid_request" | "shape_mismatch" | "dtype_mismatch" | "invalid_number",
  { name, problem }: { readonly name: string; readonly problem: string },
): never {
  const path = kind === "gradients" ? `gradients.${name}` : `variables.${name}`;
  throw refusal(code, `take the tensor "${name}"`, { path, called: "it" }, problem);
}

/** Integers are taken as values, and as the averages of counts, but not as gradients. */
export function denseRegion(place: Place, tensor: Tensor, whole: (squares: number) => void): FloatRegion {
  const { variable: { name, shape, role }, count, packed: { values: { dtype }, scale } } = tensor;
  const takesIntegers = place.kind === "values" || role === "average";
  if (scale || !isInteger(dtype) || !takesIntegers) return tensorRegion(place, tensor, whole);
  const { arena, kind } = place, target = place.allocate(4 * count);
  const inexactly = (inexact: Inexact) =>
    refuse(kind, "invalid_number", { name, problem: showInexact(inexact, { dtype, shape }) });
  const sink = integerSink({ arena, name, dtype, target, count, refuse: inexactly }, whole);
  return { values: target, count, wire: { dtype: "F32", offset: target }, sinks: { values: sink } };
}

/** `whole` is called with the sum of squares once all values are there. Throws dtype_mismatch. */
export function tensorRegion(place: Place, tensor: Tensor, whole: (squares: number) => void): FloatRegion {
  const { variable: { name }, count, packed } = tensor;
  const { kind } = place;
  if (!isFloat(packed)) {
    const { values: { dtype }, scale } = packed;
    const given = scale ? `${dtype} with a scale` : dtype === "I8" ? "I8 without a scale" : dtype;
    refuse(kind, "dtype_mismatch", { name, problem: `is ${given}, must be F32, F16, BF16 or F64` });
  }
  // A gradient's infinity is for the run's policy; a value's would stay.
  const overflowed = kind === "gradients" ? undefined : (value: number, index: number) => {
    const problem = `has ${value} at element ${index}, must be within float32's range, ±3.4028235e38`;
    refuse(kind, "invalid_number", { name, problem });
  };
  return floatRegion({ ...place, overflowed, name, count }, packed, whole);
}
