/** The family of initializers: one line per member. */
import { type Shape, showShape } from "../../tensor.ts";
import { Family, invalidConfig } from "../mechanism/family.ts";
import { constant } from "./constant.ts";
import { glorotNormal } from "./glorot_normal.ts";
import { glorotUniform } from "./glorot_uniform.ts";
import { heNormal } from "./he_normal.ts";
import { heUniform } from "./he_uniform.ts";
import { identity } from "./identity.ts";
import type { Fill, InitializerMember } from "./initializer.ts";
import { lecunNormal } from "./lecun_normal.ts";
import { lecunUniform } from "./lecun_uniform.ts";
import { ones } from "./ones.ts";
import { orthogonal } from "./orthogonal.ts";
import { randomNormal } from "./random_normal.ts";
import { randomUniform } from "./random_uniform.ts";
import { truncatedNormal } from "./truncated_normal.ts";
import { varianceScaling } from "./variance_scaling.ts";
import { zeros } from "./zeros.ts";

export const initializers = new Family<InitializerMember>("initializer", [
  zeros,
  ones,
  constant,
  randomUniform,
  randomNormal,
  truncatedNormal,
  varianceScaling,
  glorotUniform,
  glorotNormal,
  heUniform,
  heNormal,
  lecunUniform,
  lecunNormal,
  orthogonal,
  identity,
]);

interface Beginning {
  /** Multiplications that it takes beyond a few per element. */
  readonly work: number;
  /** Throws `invalid_config` if the initializer cannot fill the shape. */
  begin(): Fill | Promise<Fill>;
}

/**
 * The first values of a variable, from `{class_name, config?}` or a bare name. `path` is its path in the request;
 * `drawSeed` gives the seed if the config has none. Throws `unknown_class` and `invalid_config`, the latter also if it
 * takes more than `workMax`.
 */
export function initialize(
  json: unknown,
  shape: Shape,
  { path = "", drawSeed, workMax = Infinity }: { path?: string; drawSeed: () => number; workMax?: number },
): Beginning {
  const { member, config } = initializers.resolve(json, path);
  const work = member.work?.(shape) ?? 0;
  if (work > workMax) {
    const message =
      `takes ${work} multiplications for the shape ${
        showShape(shape)
      }, must take at most ${workMax} with all other ` +
      "initial values of the run";
    throw invalidConfig(member.class_name, [{ path: "", message }], path);
  }
  return { work, begin: () => member.initialize(config, { shape, drawSeed, path }) };
}
