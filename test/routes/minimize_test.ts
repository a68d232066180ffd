/** minimize and compute_gradients over HTTP: the examples of Keras' optimizer page, and what they share with gradients. */
import assert from "node:assert/strict";
import { type Service, startService } from "./harness.ts";

/** A service whose workers end with the test. */
function serviceWithLosses() {
  const service = startService();
  return { ...service, [Symbol.dispose]: () => service.losses.close() };
}

const LOSS = "3 * var1 * var1 + 2 * var2 * var2";

async function startTwo(
  service: Service,
  optimizer: unknown = { class_name: "SGD", config: { learning_rate: 0.1 } },
) {
  const variables = [{ name: "var1", shape: [], initial: 2 }, { name: "var2", shape: [], initial: 5 }];
  const created = await service.send("POST", "/v1/runs", { body: { id: "demo", optimizer, variables } });
  assert.equal(created.status, 201, await created.text());
}

async function answerOf(sent: Promise<Response>, status = 200) {
  const response = await sent;
  const text = await response.text();
  assert.equal(response.status, status, text);
  return JSON.parse(text);
}

const minimize = (service: Service, body: unknown, headers = {}) =>
  service.send("POST", "/v1/runs/demo/minimize", { body, headers });
const values = async (service: Service) =>
  (await answerOf(service.send("GET", "/v1/runs/demo/variables"))).variables;

Deno.test("minimize() steps down 3 * var1 * var1 + 2 * var2 * var2", async () => {
  using service = serviceWithLosses();
  await startTwo(service);
  const answer = await answerOf(minimize(service, { loss: LOSS, var_list: ["var1", "var2"] }));
  assert.equal(answer.loss, 62);
  assert.equal(answer.applied, true);
  assert.equal(answer.iterations, 1);
  const { var1, var2 } = await values(service);
  assert.equal(var1, Math.fround(2 - Math.fround(Math.fround(0.1) * 12)));
  assert.equal(var2, Math.fround(5 - Math.fround(Math.fround(0.1) * 20)));
});

Deno.test("compute_gradients() answers what POST gradients takes", async () => {
  using service = serviceWithLosses();
  await startTwo(service);
  const computed = await answerOf(
    service.send("POST", "/v1/runs/demo/compute-gradients", { body: { loss: LOSS } }),
  );
  assert.deepEqual(computed, { loss: 62, base_iteration: 0, gradients: { var1: 12, var2: 20 } });
});
