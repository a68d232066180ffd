/** The identity matrix times gain; a matrix that is not square is padded with zeros. */
import { showShape } from "../../tensor.ts";
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
    return (part, first) => {
      part.fill(0);
      const end = Math.min(first + part.length, rows * columns);
      for (let row = Math.ceil(first / (columns + 1)); row < Math.min(rows, columns); row++) {
        const place = row * (columns + 1);
        if (place >= end) break;
        part[place - first] = gain;
      }
    };
  },
});
