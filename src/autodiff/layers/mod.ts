/** Every layer that a model may have: the whitelist. */
import { DENSE } from "./dense.ts";
import { IMAGES } from "./image_layers.ts";
import type { Layer } from "./layer.ts";
import { MERGING } from "./merging.ts";
import { NOISE } from "./noise_layers.ts";
import { NORMALIZATIONS } from "./normalizations.ts";
import { OPERATIONS } from "./operations.ts";
import { RECURRENT } from "./recurrent.ts";
import { RESIZING } from "./resizing.ts";
import { WRAPPERS } from "./wrappers.ts";

export const LAYERS: ReadonlyMap<string, Layer> = new Map(
  [
    ...DENSE,
    ...NOISE,
    ...IMAGES,
    ...RESIZING,
    ...NORMALIZATIONS,
    ...MERGING,
    ...OPERATIONS,
    ...RECURRENT,
    ...WRAPPERS,
  ].map((
    layer,
  ) => [layer.className, layer]),
);
