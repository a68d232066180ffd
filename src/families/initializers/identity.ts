/** The identity matrix times gain; a matrix that is not square is padded with zeros. */
import { elementCount, showShape } from "../../tensor.ts";
import { invalidConfig } from "../mechanism/family.ts";
import { number } from "../mechanism/fields.ts";
import { initializer } from "./initializer.ts";

const CLASS_NAME = "Identity";

export const identity = initializer({
  class_name: CLASS_NAME,
  aliases: ["eye"],
  summary: "The identity matrix.",
  fields: { gain: number(1, "What stands on the diagonal.") },
  initialize({ gain }, { shape, path }) {
    const [rows = 0, columns = 0] = shape;
    if (shape.length !== 2) {
      const message = `cannot fill the shape ${showShape(shape)}, must be a matrix`;
      throw invalidConfig(CLASS_NAME, [{ path: "", message }], path);
    }
    const values = new Float32Array(elementCount(shape));
    for (let row = 0; row < Math.min(rows, columns); row++) values[row * columns + row] = gain;
    return values;
  },
});
