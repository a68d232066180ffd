/**
 * Rounds in virtual time: many clients that misbehave in every way and a service that dies are compared with a small
 * model. `deno test -A test/run/simulation [-- --seed=N --clients=N]`.
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
  Deno.test(`rounds stay correct with misbehaving clients, with seed ${seed}`, async () => {
    console.log(`seed ${seed}: --seed=${seed} makes the same simulation again`);
    console.log(await simulate({ seed, clients: Number(values.clients) }));
  });
}
