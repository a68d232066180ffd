/** Long descriptions of runs, which are written in pieces, are what `JSON.stringify` writes. */
import assert from "node:assert/strict";
import { runJson } from "../../../routes/http/answer_run.ts";
import { describeRun } from "../../../routes/http/describe_run.ts";
import { startService } from "../support/harness.ts";

const COUNTS = [1, 199, 200, 201, 1000];

Deno.test("a description in pieces is the description", async () => {
  const service = startService();
  const { registry } = service;
  for (const count of COUNTS) {
    const variables = Array.from({ length: count }, (_, n) => ({
      name: `"${n}"/ü`,
      shape: n % 3 === 0 ? [] : [n % 5, 2],
      ...n % 21 === 7 && { constraint: { class_name: "MaxNorm", config: { max_value: 2 } } },
      ...n % 7 === 1 && { role: "average" as const },
    }));
    const id = `run-${count}`, aggregation = { mode: "round", quorum: 2, client_clipnorm: 1 };
    const created = await service.send("POST", "/v1/runs", {
      body: { id, optimizer: "Adam", variables, aggregation },
    });
    assert.equal(created.status, 201);
    const run = (await registry.open(id)).describe(), wanted = JSON.stringify(describeRun(run, registry));
    assert.equal([...runJson(run, registry)].join(""), wanted);
    assert.equal(await created.text(), wanted);
    const got = await service.send("GET", `/v1/runs/${id}`);
    assert.equal(await got.text(), wanted);
    assert.equal(got.headers.get("Content-Length"), String(new TextEncoder().encode(wanted).length));
    assert.equal(got.headers.get("ETag"), created.headers.get("ETag"));
    const { runs } = await (await service.send("GET", "/v1/runs?limit=1000")).json();
    assert.deepEqual(runs.at(-1), JSON.parse(wanted));
  }
});
