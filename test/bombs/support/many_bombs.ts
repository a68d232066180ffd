/** Runs of many variables: how they come about, how they are told of, how they come back from the disk, how they end. */
import { until } from "../../support/waiting.ts";
import type { Bomb, Target } from "./target.ts";

const RUN = "/v1/runs/many";
const variablesOf = (count: number, more: (n: number) => object) =>
  Array.from({ length: count }, (_, n) => ({ name: `layer_${n >> 3}/v${n}`, shape: [2], ...more(n) }));

/** What variables can have besides a name and a shape. */
const KINDS: Readonly<Record<string, (n: number) => object>> = {
  nothing: () => ({}),
  numbers: (n) => ({ initial: [n, -n] }),
  initializers: (n) => ({ initial: { class_name: "RandomNormal", config: { seed: n } } }),
  constraints: () => ({ constraint: { class_name: "MaxNorm", config: { max_value: 2 } } }),
};

const creations = (count: number): Pick<Bomb, "name" | "throw"> => ({
  name: `runs of ${count} variables are created, told of and deleted`,
  throw: async (target) => {
    for (const kind of Object.values(KINDS)) {
      const spec = { id: "many", optimizer: "Adam", variables: variablesOf(count, kind) };
      await target.create(spec);
      await target.send("GET", RUN);
      await target.send("GET", "/v1/runs");
      await target.send("PATCH", `${RUN}/optimizer`, { config: { learning_rate: 0.5 } });
      await target.send("DELETE", RUN);
    }
    const variables = variablesOf(count, () => ({})), spec = { id: "many", optimizer: "Adam", variables };
    const headers = { "Idempotency-Key": "k" };
    for (let n = 0; n < 2; n++) await target.send("POST", "/v1/runs", spec, headers);
    await target.send("DELETE", RUN);
    // Refused at the very end, by each part that looks at all of them.
    const { name } = variables[0] as { name: string };
    for (
      const last of [
        { name, shape: [2] },
        { name: "last", shape: [2], initial: [1] },
        { name: "last", shape: [2], initial: "nothing of the kind" },
        { name: "last", shape: [], constraint: { class_name: "UnitNorm", config: { axis: 3 } } },
        { name: "last", shape: [-1] },
      ]
    ) {
      await target.send("POST", "/v1/runs", {
        ...spec,
        variables: [...variables.slice(1), variables[0], last],
      });
    }
  },
});

/** Waits until the service has taken all runs from memory. */
const untilAway = (target: Target) => until(async () => await target.figure("stepwell_run_bytes") === 0);

const returns = (count: number): Pick<Bomb, "name" | "throw" | "settings"> => ({
  name: `a run of ${count} variables comes back from the disk`,
  settings: { STEPWELL_IDLE_SECONDS: "1", STEPWELL_SWEEP_SECONDS: "1" },
  throw: async (target) => {
    const variables = variablesOf(count, () => ({})), names = variables.map(({ name }) => name);
    await target.create({ id: "many", optimizer: "Adam", variables });
    const values = Object.fromEntries(names.slice(0, count >> 1).map((name) => [name, [1, 2]]));
    for (const path of ["", "/optimizer", "/steps"]) {
      await target.send("PUT", `${RUN}/variables`, { variables: values });
      await target.send("PATCH", `${RUN}/optimizer`, { config: { learning_rate: 0.5 } });
      await untilAway(target);
      // All of them wait for one reading.
      await target.atOnce(8, "GET", RUN + path);
    }
    await untilAway(target);
    await Promise.all([target.atOnce(4, "GET", `${RUN}/optimizer`), target.send("DELETE", RUN)]);
  },
});

export const MANY_BOMBS: readonly Bomb[] = [
  { ...creations(10_000), isQuick: true },
  creations(100_000),
  { ...returns(20_000), isQuick: true },
  returns(100_000),
];
