/** Every optimizer in every variant, and steps for them, for laws over all members. */
import { type PartJson, serialize } from "../../../src/families/mechanism/family.ts";
import { optimizers } from "../../../src/families/optimizers/mod.ts";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import { numbers, tensor } from "./harness.ts";

export interface Variant {
  readonly label: string;
  readonly optimizer: PartJson;
  /** The key of its learning rate. */
  readonly rateKey: string;
}

/** A learning rate at which a few steps move every element visibly. */
export const VARIANTS: readonly Variant[] = optimizers.members.flatMap((member) =>
  member.variants.map((variant) => ({
    label: `${member.module ?? ""} ${member.class_name} ${JSON.stringify(variant)}`.trimStart(),
    optimizer: serialize({ member, config: { [member.rateKey]: 0.1, ...variant } }),
    rateKey: member.rateKey,
  }))
);

export const SHAPES: Readonly<Record<string, readonly number[]>> = {
  scalar: [],
  vector: [19],
  matrix: [6, 5],
  filters: [3, 2, 2, 4],
  none: [0, 3],
};

export const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

export function specOf(
  { optimizer }: Pick<Variant, "optimizer">,
  spec: Partial<RunSpec> = {},
): Omit<RunSpec, "id"> {
  return {
    optimizer,
    variables: Object.entries(SHAPES).map(([name, shape], n) => ({
      name,
      shape,
      initial: tensor(shape, numbers(sizeOf(shape), { seed: 100 + n })),
    })),
    ...spec,
  };
}

/** Gradients of step `seed`: dense, or rows with repetitions where a variable has rows. */
export function gradientsOf(
  seed: number,
  { sparse = false, special = false }: { sparse?: boolean; special?: boolean } = {},
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape], n) => {
      const [rows = 0] = shape;
      const dense = { seed: 1000 * seed + n, special };
      if (!sparse || shape.length === 0) return [name, tensor(shape, numbers(sizeOf(shape), dense))];
      const indices = rows === 0 ? [] : [1, 0, 1, 2, 0].map((row) => (row * (seed + 1)) % rows);
      const sizes = [indices.length, ...shape.slice(1)];
      return [name, { indices, values: tensor(sizes, numbers(sizeOf(sizes), dense)) }];
    }),
  );
}
