/** Every layer that a model may have: the whitelist. */
import { DENSE } from "./dense.ts";
import { IMAGES } from "./images.ts";
import type { Layer } from "./layer.ts";
import { MERGING } from "./merging.ts";
import { NORMALIZATIONS } from "./normalizations.ts";
import { RECURRENT } from "./recurrent.ts";

export const LAYERS: ReadonlyMap<string, Layer> = new Map(
  [...DENSE, ...IMAGES, ...NORMALIZATIONS, ...MERGING, ...RECURRENT].map((layer) => [layer.className, layer]),
);
