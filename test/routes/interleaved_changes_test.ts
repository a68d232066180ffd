/** Changes of one run that follow each other without a pause: each answer tells of its own change, and of no later one. */
import assert from "node:assert/strict";
import { f32, file, FILE_TYPE, GRADIENTS, readFile, startRun, startService } from "./support/harness.ts";

const RUN = "/v1/runs/demo";

Deno.test("the version in an answer to a change is that of the change, whatever follows it", async () => {
  const service = startService();
  await startRun(service);
  const weights = (await (await service.send("GET", `${RUN}/weights`)).json()).weights;
  const changes = [
    () => service.send("POST", `${RUN}/gradients`, { body: { gradients: GRADIENTS } }),
    () => service.send("POST", `${RUN}/gradients`, { body: file({ bias: f32([3], [1, 2, 3]) }) }),
    () => service.send("PUT", `${RUN}/variables`, { body: { variables: { scale: 2 } } }),
    () => service.send("PUT", `${RUN}/weights`, { body: { weights } }),
    () => service.send("PATCH", `${RUN}/optimizer`, { body: { config: { learning_rate: 0.5 } } }),
  ];
  const count = 60;
  const answers = await Promise.all(
    Array.from({ length: count }, (_, index) => changes[index % changes.length]!()),
  );
  const versions = await Promise.all(answers.map(async (answer) => {
    const told = await answer.json();
    assert.equal(answer.status, 200, JSON.stringify(told));
    const version = Number(/^"v(\d+)"$/.exec(answer.headers.get("ETag") ?? "")?.[1]);
    if ("version" in told) assert.equal(told.version, version);
    return version;
  }));
  assert.deepEqual(versions.toSorted((a, b) => a - b), Array.from({ length: count }, (_, at) => at + 2));
});

Deno.test("values in an answer to a change are of the version that it names, or left out", async () => {
  const service = startService();
  await startRun(service);
  const headers = { Prefer: "return=representation", Accept: FILE_TYPE };
  const answers = await Promise.all(
    Array.from(
      { length: 40 },
      (_, value) =>
        service.send("PUT", `${RUN}/variables`, { body: { variables: { scale: value } }, headers }),
    ),
  );
  assert.ok(answers.some(({ headers }) => headers.has("Preference-Applied")));
  for (const [value, answer] of answers.entries()) {
    if (!answer.headers.has("Preference-Applied")) continue;
    const { metadata, values } = readFile(await answer.bytes());
    assert.deepEqual(values["scale"], [value]);
    assert.equal(`"v${metadata["version"]}"`, answer.headers.get("ETag"));
  }
});
