/** Runs whose variables take long to make: each initializer with as many numbers as memory has. */
import { initializers } from "../../../src/families/initializers/mod.ts";
import type { Bomb } from "./target.ts";

/** The memory bound of these services holds one such variable with its copies. */
const NUMBERS = 50_000_000;
const CONFIGS: Readonly<Record<string, object>> = { Constant: { value: 0.5 } };

const make = (name: string, shape: readonly number[], initial: unknown): Bomb => ({
  name,
  throw: async (target) => {
    await target.send("POST", "/v1/runs", {
      id: "made",
      optimizer: "SGD",
      variables: [{ name: "w", shape, initial }],
      durability: "none",
    });
    await target.send("DELETE", "/v1/runs/made");
  },
});

export const INITIALIZERS: readonly Bomb[] = [
  ...initializers.members.map(({ class_name }) =>
    make(`${class_name} of ${NUMBERS} numbers`, [NUMBERS / 5000, 5000], {
      class_name,
      config: CONFIGS[class_name] ?? {},
    })
  ),
  make("Orthogonal of 2000 x 2000", [2000, 2000], "Orthogonal"),
  make("Orthogonal of 10 x 5 million", [10, 5_000_000], "Orthogonal"),
  make("Identity of 7000 x 7000", [7000, 7000], "Identity"),
];
