/**
 * Radially symmetric kernels: each square ring around the centre of a rows × columns slice takes one value from the
 * diagonal.
 *
 * Variant: as Keras computes it, which differs from the drawing in its documentation: even kernels take the outer
 * diagonal (the centre k[s−1][s−1], ring r k[s+r][s+r]), odd ones the inner (the centre k[s−1][s−1], ring r
 * k[s+r−1][s+r−1]), with s = ⌊size / 2⌋.
 */
import { type Shape, showShape } from "../../tensor.ts";
import { invalidConfig } from "../mechanism/family.ts";
import { constraint } from "./constraint.ts";

const CLASS_NAME = "RadialConstraint";

export const radialConstraint = constraint({
  class_name: CLASS_NAME,
  aliases: ["radial_constraint"],
  summary: "Makes convolution kernels radially symmetric.",
  fields: {},
  rule(_config, shape, path) {
    return { rule: { kind: "copy_rows", sources: ringSources(sizeOf(shape, path)) }, uniforms: {} };
  },
});

/** The kernel's side. Throws `invalid_config` when the shape has none. */
function sizeOf(shape: Shape, path: string): number {
  const [rows = 0, columns] = shape;
  if (shape.length === 4 && rows === columns && rows > 1) return rows;
  const message = `cannot constrain the shape ${showShape(shape)}, must be [n, n, in, out] with n > 1`;
  throw invalidConfig(CLASS_NAME, [{ path: "", message }], path);
}

/** For each place of a size × size kernel, row by row, the place whose value it takes. */
function ringSources(size: number): number[] {
  const half = Math.floor(size / 2);
  const odd = size % 2;
  return Array.from({ length: size * size }, (_, place) => {
    const row = Math.floor(place / size);
    const column = place % size;
    // The number of rings between a line and the middle. Even kernels have two middle lines, half − 1 and half.
    const away = (line: number) => line < half ? half - 1 + odd - line : line - half;
    const ring = Math.max(away(row), away(column));
    const diagonal = ring === 0 ? half - 1 : half + ring - odd;
    return diagonal * size + diagonal;
  });
}
