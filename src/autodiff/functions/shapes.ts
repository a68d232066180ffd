/** Functions that move, repeat or drop elements and leave their values unchanged. */
import { elementCount, sameShape, type Shape, showShape } from "../../tensor.ts";
import {
  axisOf,
  define,
  integer,
  integers,
  MisfitError,
  type Option,
  type Tensor,
  type Tf,
} from "./define.ts";
import { broadcastTo } from "./elementwise.ts";

const places = (): Option<readonly number[] | null> => ({
  wanted: "a list of axes or none",
  initial: null,
  read: (literal) => literal === "none" ? null : integers().read(literal),
});

/** The shape `wanted` with -1 filled in. */
function reshaped(x: Shape, wanted: readonly number[]): number[] {
  const count = elementCount(x), open = wanted.indexOf(-1);
  const known = elementCount(wanted.filter((n) => n !== -1));
  const shape = open < 0 ? [...wanted] : wanted.with(open, known === 0 ? 0 : count / known);
  if (shape.every((n) => Number.isInteger(n) && n >= 0) && elementCount(shape) === count) return shape;
  throw new MisfitError(`cannot make ${showShape(wanted)} of ${showShape(x)}`);
}

function permutation(perm: readonly number[] | null, rank: number): number[] {
  const order = perm
    ? perm.map((axis) => axisOf(axis, rank))
    : Array.from({ length: rank }, (_, at) => rank - 1 - at);
  if (order.length === rank && new Set(order).size === rank) return order;
  throw new MisfitError(`perm is [${(perm ?? []).join(", ")}], must name each of ${rank} axes once`);
}

/** The position of a new axis among `rank` others. */
const newAxis = (axis: number, rank: number) => axisOf(axis, rank + 1);

function squeezed(x: Shape, axis: readonly number[] | null): number[] {
  const gone = axis?.map((each) => axisOf(each, x.length));
  const odd = gone?.find((at) => x[at] !== 1);
  if (odd !== undefined) throw new MisfitError(`axis ${odd} of ${showShape(x)} is not 1 long`);
  return x.filter((n, at) => gone ? !gone.includes(at) : n !== 1);
}

function checkRank(what: string, list: readonly number[], x: Shape): void {
  if (list.length === x.length && list.every((n) => n >= 0)) return;
  throw new MisfitError(
    `${what} is [${list.join(", ")}], must have a number from 0 for each axis of ${showShape(x)}`,
  );
}

export const SHAPES = [
  define("reshape", {
    tensors: ["x"],
    options: { shape: integers() },
    does: "The same elements in another shape; one -1 is as long as is left.",
    shape: ([x]: [Shape], { shape }) => reshaped(x, shape),
    apply: (tf, [x]: [Tensor], { shape }) => tf.reshape(x, reshaped(x.shape, shape)),
  }),
  define("transpose", {
    tensors: ["x"],
    options: { perm: places() },
    does: "The axes in another order; without `perm` from last to first.",
    shape: ([x]: [Shape], { perm }) => permutation(perm, x.length).map((at) => x[at] as number),
    apply: (tf, [x]: [Tensor], { perm }) =>
      x.rank < 2 ? tf.clone(x) : tf.transpose(x, permutation(perm, x.rank)),
  }),
  define("expand_dims", {
    tensors: ["x"],
    options: { axis: integer() },
    does: "With one more axis, 1 long, at that place.",
    shape: ([x]: [Shape], { axis }) => x.toSpliced(newAxis(axis, x.length), 0, 1),
    apply: (tf, [x]: [Tensor], { axis }) => tf.expandDims(x, newAxis(axis, x.rank)),
  }),
  define("squeeze", {
    tensors: ["x"],
    options: { axis: places() },
    does: "Without the axes that are 1 long, or those of them that are named.",
    shape: ([x]: [Shape], { axis }) => squeezed(x, axis),
    apply: (tf, [x]: [Tensor], { axis }) => tf.reshape(x, squeezed(x.shape, axis)),
  }),
  define("concat", {
    tensors: ["..."],
    options: { axis: integer(0) },
    does: "The tensors one after the other along an axis.",
    shape: (shapes: [Shape, ...Shape[]], { axis }) => {
      const [first] = shapes, at = axisOf(axis, first.length);
      const fits = (other: Shape) =>
        other.length === first.length && sameShape(other.with(at, 0), first.with(at, 0));
      const odd = shapes.find((shape) => !fits(shape));
      if (odd) throw new MisfitError(`${showShape(odd)} does not fit ${showShape(first)} but for axis ${at}`);
      return first.with(at, shapes.reduce((sum, shape) => sum + (shape[at] as number), 0));
    },
    apply: (tf, tensors: [Tensor, ...Tensor[]], { axis }) =>
      joined(tf, tensors, axisOf(axis, tensors[0].rank)),
  }),
  define("stack", {
    tensors: ["..."],
    options: { axis: integer(0) },
    does: "The tensors, all of one shape, along a new axis.",
    shape: (shapes: [Shape, ...Shape[]], { axis }) => {
      const [first] = shapes, odd = shapes.find((shape) => !sameShape(shape, first));
      if (odd) throw new MisfitError(`${showShape(odd)} is not ${showShape(first)}`);
      return first.toSpliced(newAxis(axis, first.length), 0, shapes.length);
    },
    apply: (tf, tensors: [Tensor, ...Tensor[]], { axis }) => {
      const at = newAxis(axis, tensors[0].rank);
      return joined(tf, tensors.map((tensor) => tf.expandDims(tensor, at)), at);
    },
  }),
  define("slice", {
    tensors: ["x"],
    options: { begin: integers(), size: integers() },
    does: "A part: from `begin`, as long as `size` (-1: to the end), for each axis.",
    shape: ([x]: [Shape], { begin, size }) => sliced(x, begin, size),
    apply: (tf, [x]: [Tensor], { begin, size }) => tf.slice(x, [...begin], sliced(x.shape, begin, size)),
  }),
  define("reverse", {
    tensors: ["x"],
    options: { axis: integer(-1) },
    does: "The other way round along an axis.",
    shape: ([x]: [Shape], { axis }) => (axisOf(axis, x.length), x),
    apply: (tf, [x]: [Tensor], { axis }) => tf.reverse(x, axisOf(axis, x.rank)),
  }),
  define("tile", {
    tensors: ["x"],
    options: { reps: integers() },
    does: "The tensor as often along each axis as `reps` says.",
    shape: ([x]: [Shape], { reps }) => {
      checkRank("reps", reps, x);
      return x.map((n, at) => n * (reps[at] as number));
    },
    apply: (tf, [x]: [Tensor], { reps }) => reps.reduce((y, count, at) => repeated(tf, y, { count, at }), x),
  }),
  define("pad", {
    tensors: ["x"],
    options: { before: integers(), after: integers() },
    does: "With so many zeros before and after along each axis.",
    shape: ([x]: [Shape], { before, after }) => {
      checkRank("before", before, x);
      checkRank("after", after, x);
      return x.map((n, at) => n + (before[at] as number) + (after[at] as number));
    },
    apply: (tf, [x]: [Tensor], { before, after }) =>
      x.rank === 0
        ? tf.clone(x)
        : tf.pad(x, before.map((n, at): [number, number] => [n, after[at] as number])),
  }),
];

/** Concatenates. The time of tfjs' own gradient grows with the square of the number of tensors. */
function joined(tf: Tf, tensors: readonly Tensor[], axis: number): Tensor {
  const differentiable = tf.customGrad((...args: unknown[]) => {
    const parts = args.slice(0, -1) as Tensor[];
    return {
      value: tf.concat(parts, axis) as Tensor,
      gradFunc: (dy: Tensor) => {
        let at = 0;
        return tensors.map(({ shape }) => {
          const begin = Array(dy.rank).fill(0).with(axis, at);
          at += shape[axis] as number;
          return tf.slice(dy, begin, shape) as Tensor;
        });
      },
    };
  });
  return differentiable(...tensors);
}

/** Repeats the tensor along an axis. */
function repeated(tf: Tf, x: Tensor, { count, at }: { count: number; at: number }): Tensor {
  const outer = elementCount(x.shape.slice(0, at)), inner = elementCount(x.shape.slice(at));
  const wide = broadcastTo(tf, tf.reshape(x, [outer, 1, inner]), [outer, count, inner]);
  return tf.reshape(wide, x.shape.with(at, (x.shape[at] as number) * count));
}

function sliced(x: Shape, begin: readonly number[], size: readonly number[]): number[] {
  checkRank("begin", begin, x);
  if (size.length !== x.length) {
    throw new MisfitError(`size must have a number for each axis of ${showShape(x)}`);
  }
  return x.map((n, at) => {
    const from = begin[at] as number, count = size[at] === -1 ? n - from : size[at] as number;
    if (count >= 0 && from + count <= n) return count;
    throw new MisfitError(`cannot take ${size[at]} from ${from} of axis ${at}, which is ${n} long`);
  });
}
