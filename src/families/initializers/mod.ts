/** The family of initializers: one line per member. */
import type { Shape } from "../../tensor.ts";
import { Family } from "../mechanism/family.ts";
import { constant } from "./constant.ts";
import { glorotNormal } from "./glorot_normal.ts";
import { glorotUniform } from "./glorot_uniform.ts";
import { heNormal } from "./he_normal.ts";
import { heUniform } from "./he_uniform.ts";
import { identity } from "./identity.ts";
import type { InitializerMember, Values } from "./initializer.ts";
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

/**
 * The first values of a variable, in row-major order, from `{class_name, config?}` or a bare name.
 *
 * `path` is its path in the request; `drawSeed` gives the seed if the config has none. Throws `unknown_class` and
 * `invalid_config`, the latter also if the initializer cannot fill the shape.
 */
export async function initialize(
  json: unknown,
  shape: Shape,
  { path = "", drawSeed }: { path?: string; drawSeed: () => number },
): Promise<Values> {
  const { member, config } = initializers.resolve(json, path);
  return await member.initialize(config, { shape, drawSeed, path });
}
