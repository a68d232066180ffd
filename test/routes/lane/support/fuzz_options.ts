/** What `deno task test:heads` may say: how many inputs, and the seed of a run that is to be made again. */
import { parseArgs } from "node:util";

/** Prints the seed. */
export function fuzzOptions(): { readonly inputs: number; readonly seed: number } {
  const { values } = parseArgs({
    args: Deno.args,
    options: { inputs: { type: "string", default: "10000" }, seed: { type: "string" } },
    allowPositionals: true,
  });
  const seed = Number(values.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  console.log(`seed ${seed}: --seed=${seed} makes the same inputs again`);
  return { inputs: Number(values.inputs), seed };
}
