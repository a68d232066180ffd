/**
 * Rounds in virtual time: many clients that misbehave in every way, and a service that dies, against a small model of
 * what must hold. `deno test -A test/run/simulation [-- --seed=N --clients=N]`.
 */
import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { seed: { type: "string" }, clients: { type: "string", default: "1000" } },
  allowPositionals: true,
});
const seeds = values.seed === undefined ? [1, 2] : [Number(values.seed)];

for (const seed of seeds) {
  Deno.test(`rounds keep their promises to clients that keep none, with seed ${seed}`, async () => {
    console.log(`seed ${seed}: --seed=${seed} makes the same simulation again`);
    console.log(await simulate({ seed, clients: Number(values.clients) }));
  });
}
