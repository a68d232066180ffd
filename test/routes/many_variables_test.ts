/** Answers about runs of many variables, which are written in pieces. */
import assert from "node:assert/strict";
import { encodeSafetensors } from "../../src/wire/safetensors_writer.ts";
import { FILE_TYPE, type Service, startService } from "./support/harness.ts";

const COUNT = 1500;
const NAMES = Array.from({ length: COUNT }, (_, n) => `v${n}`);
const RUN = "/v1/runs/many";

async function begin(): Promise<Service> {
  const service = startService();
  const created = await service.send("POST", "/v1/runs", {
    body: {
      id: "many",
      optimizer: { class_name: "SGD", config: { learning_rate: 0.5 } },
      variables: NAMES.map((name) => ({ name, shape: [2] })),
      non_finite: "propagate",
    },
  });
  assert.equal(created.status, 201);
  assert.deepEqual((await created.json()).variables.map(({ name }: { name: string }) => name), NAMES);
  return service;
}

/** Squares of whole numbers up to 2^24 are exact. */
const gradientOf = (n: number) => Float32Array.of(3 * (n % 1000), n === 7 ? NaN : 4 * (n % 1000));
const normOf = (n: number) => n === 7 ? "NaN" : 5 * (n % 1000);
const FILE = encodeSafetensors(NAMES.map((name, n) => ({ name, shape: [2], values: gradientOf(n) })))
  .body as ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>;

async function bytesOf(body: typeof FILE): Promise<Uint8Array> {
  return new Uint8Array(await new Response(body as BodyInit).arrayBuffer());
}

const json = {
  gradients: Object.fromEntries(NAMES.map((name, n) => [
    name,
    [...gradientOf(n)].map((x) => Number.isNaN(x) ? "NaN" : x),
  ])),
};
const NORMS = Object.fromEntries(NAMES.map((name, n) => [name, { gradient_norm: normOf(n) }]));

Deno.test("a step of many variables answers with the norm of each, in JSON and as a file alike", async () => {
  const service = await begin();
  const file = await bytesOf(FILE);
  for (const body of [json, file, file]) {
    const answer = await service.send("POST", `${RUN}/gradients`, { body });
    assert.equal(answer.status, 200);
    const { variables, gradient_norm } = await answer.json();
    assert.deepEqual(variables, NORMS);
    assert.equal(gradient_norm, "NaN");
  }
  const { steps } = await (await service.send("GET", `${RUN}/steps?limit=2`)).json();
  assert.deepEqual(steps.map(({ variables }: { variables: object }) => variables), [NORMS, NORMS]);
});

Deno.test("a step of many variables answers with their new values where they are asked for", async () => {
  const service = await begin();
  const headers = { Prefer: "return=representation" };
  const answer = await service.send("POST", `${RUN}/gradients`, { body: json, headers });
  const { variables } = await answer.json();
  const { variables: values } = await (await service.send("GET", `${RUN}/variables`)).json();
  assert.deepEqual(variables.v3, { gradient_norm: 15, values: [-4.5, -6] });
  assert.deepEqual(
    variables,
    Object.fromEntries(NAMES.map((name, n) => [name, { gradient_norm: normOf(n), values: values[name] }])),
  );
  const asFile = await service.send("POST", `${RUN}/gradients`, {
    body: json,
    headers: { ...headers, Accept: FILE_TYPE },
  });
  const bytes = new Uint8Array(await asFile.arrayBuffer());
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const { __metadata__, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  assert.deepEqual(JSON.parse(__metadata__.variables), NORMS);
  assert.equal(Object.keys(entries).length, COUNT);
});

Deno.test("a repeated step of many variables is answered without their norms", async () => {
  const service = await begin();
  const send = () =>
    service.send("POST", `${RUN}/gradients`, { body: json, headers: { "Idempotency-Key": "k" } });
  assert.equal(Object.keys((await (await send()).json()).variables).length, COUNT);
  const again = await send();
  assert.equal(again.headers.get("Idempotency-Replayed"), "true");
  const { variables, iterations } = await again.json();
  assert.deepEqual([variables, iterations], [{}, 1]);
});
