/**
 * Kills the service repeatedly while clients use it. `deno task test:faults [--kills=N] [--seed=N]` runs it with many
 * kills; without arguments there are only as many as fit into a test run.
 */
import { parseArgs } from "node:util";
import { storm } from "./support/storm.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { kills: { type: "string", default: "20" }, seed: { type: "string" } },
  allowPositionals: true,
});

Deno.test("service loses nothing and applies nothing twice when it is killed under load", async () => {
  const seed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  console.log(`seed ${seed}: --seed=${seed} makes the same plan again`);
  const folder = await Deno.makeTempDir({ prefix: "stepwell-faults-" });
  const { world, startMs, forgetful, ...figures } = await storm({
    kills: Number(values.kills),
    seed,
    folder,
  });
  const lives = [...world.lives.values()];
  const sum = (of: (life: typeof lives[number]) => number) =>
    lives.reduce((total, life) => total + of(life), 0);
  console.log({
    ...figures,
    steps: sum(({ steps }) => steps),
    contributions: sum(({ contributions }) => contributions),
    minimized: sum(({ minimized }) => minimized),
    forgotten: forgetful.map(({ id, steps, forgotten }) => `${id}: ${forgotten} of ${steps}`),
    lostAndFound: sum(({ found }) => found),
    checkedReads: sum(({ checkedReads }) => checkedReads),
    runsDeleted: world.deleted.length,
    slowestStartMs: Math.round(Math.max(...startMs)),
  });
  await Deno.remove(folder, { recursive: true });
});
