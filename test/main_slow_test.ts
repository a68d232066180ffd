/** The composition root as a process: it starts, refuses to start, and stops. */
import assert from "node:assert/strict";
import { GRADIENTS, SPEC } from "./routes/support/harness.ts";
import { refusesToStart, startCommand, testBothDoors } from "./support/service.ts";
import { until } from "./support/waiting.ts";

const post = (url: string, body: unknown) =>
  fetch(url, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

/** Whether a body is being received. */
const isReading = async (url: string) =>
  (await (await fetch(`${url}/metrics`)).text()).includes("stepwell_uploads 1");

/** Whether the service has begun to stop: it reports so, or no longer listens. */
async function isStopping(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`);
    await response.body?.cancel();
    return response.status === 503;
  } catch {
    return true;
  }
}

testBothDoors(
  "main starts with the least permissions, prints one line, works, and ends with 0 on SIGTERM",
  async (start) => {
    const begun = Date.now();
    await using service = await start();
    assert.deepEqual(
      startCommand("data").filter((argument) => argument.startsWith("--allow")),
      [
        "--allow-net",
        "--allow-env=STEPWELL_*,DENO_KV_ACCESS_TOKEN",
        "--allow-read=src,data",
        "--allow-write=data",
      ],
    );
    // The docs page loads its files late, which needs no permission.
    const variables = [{
      name: "w",
      shape: [8, 4],
      initial: { class_name: "GlorotUniform", config: { seed: 7 } },
    }];
    const created = await post(`${service.url}/v1/runs`, { id: "demo", optimizer: "SGD", variables });
    assert.equal(created.status, 201, await created.text());
    const page = await fetch(`${service.url}/docs/swagger-ui-bundle.js`);
    assert.ok((await page.text()).length > 1e6);
    const { code, output, errors } = await service.stop();
    assert.equal(code, 0, errors);
    assert.equal(output.trimEnd().split("\n").length, 1);
    const lines = errors.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ status }) => status), [201, 200]);
    for (const { time } of lines) {
      assert.ok(Date.parse(time) > begun - 60_000 && Date.parse(time) < Date.now() + 60_000, time);
    }
  },
);

Deno.test("main refuses wrong settings with one line", async () => {
  await refusesToStart(
    { STEPWELL_PORT: "http" },
    /^stepwell: Cannot use STEPWELL_PORT \(is "http"\): must be/,
  );
  await refusesToStart(
    { STEPWELL_HOST: "0.0.0.0" },
    /^stepwell: Cannot listen on STEPWELL_HOST="0.0.0.0" without a token/,
  );
});

Deno.test("main refuses a port that is taken with one line", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = String(listener.addr.port);
  await refusesToStart(
    { STEPWELL_PORT: port },
    new RegExp(`^stepwell: Cannot listen on 127.0.0.1:${port}: the port is taken`),
  );
});

Deno.test("main refuses a host of another machine with one line", async () => {
  await refusesToStart(
    { STEPWELL_HOST: "192.0.2.1", STEPWELL_TOKEN: "sixteen-letters." },
    /^stepwell: Cannot listen on 192.0.2.1:0: /,
  );
});

testBothDoors("main requires its token on every host", async (start) => {
  await using service = await start({ STEPWELL_HOST: "0.0.0.0", STEPWELL_TOKEN: "a.b-c_d.e-f_g.h-i" });
  const url = `http://127.0.0.1:${service.port}/v1/runs`;
  const statuses = [];
  for (
    const headers of [{}, { Authorization: "Bearer a.b-d" }, {
      Authorization: "Bearer a.b-c_d.e-f_g.h-i",
    }]
  ) {
    const response = await fetch(url, { headers });
    statuses.push(response.status);
    await response.body?.cancel();
  }
  assert.deepEqual(statuses, [401, 401, 200]);
  assert.doesNotMatch((await service.stop("SIGINT")).errors, /a\.b-/);
});

/** Time for requests in flight, enough for a slow machine. */
const PATIENT = { STEPWELL_SHUTDOWN_SECONDS: "300" };

testBothDoors(
  "main finishes requests in flight when it is told to stop, and then ends with 0",
  async (start) => {
    await using service = await start(PATIENT);
    await (await post(`${service.url}/v1/runs`, { ...SPEC, id: "demo" })).text();
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const text = new TextEncoder().encode(JSON.stringify({ gradients: GRADIENTS }));
    const slow = fetch(`${service.url}/v1/runs/demo/gradients`, {
      method: "POST",
      body: readable,
      headers: { "Content-Type": "application/json" },
    });
    await writer.write(text.subarray(0, 10));
    await until(() => isReading(service.url));
    const stopped = service.stop();
    await until(() => isStopping(service.url));
    await writer.write(text.subarray(10));
    await writer.close();
    const response = await slow;
    const answer = await response.text();
    assert.equal(response.status, 200, answer);
    assert.equal(JSON.parse(answer).iterations, 1);
    assert.equal((await stopped).code, 0);
  },
);

testBothDoors(
  "main refuses a loss that would take too long when it is told to stop, and ends with 0",
  async (start) => {
    await using service = await start({
      STEPWELL_SHUTDOWN_SECONDS: "16",
      STEPWELL_LOSS_SECONDS: "3600",
    });
    const variables = [{ name: "w", shape: [1, 1], initial: 1 }];
    await (await post(`${service.url}/v1/runs`, { id: "demo", optimizer: "SGD", variables })).text();
    // About 10^11 multiplications.
    const chain = Array.from({ length: 6 }, (_, at) => `m${at + 1} = m${at} @ m0`);
    const loss = ["m0 = tile(w, [2000, 2000])", ...chain, "sum(m6)"].join("; ");
    const slow = post(`${service.url}/v1/runs/demo/minimize`, { loss });
    await until(async () => {
      const metrics = await (await fetch(`${service.url}/metrics`)).text();
      return !metrics.includes("stepwell_published_bytes 0");
    });
    const stopped = service.stop();
    const response = await slow;
    const answer = await response.text();
    assert.equal(response.status, 503, answer);
    assert.equal(JSON.parse(answer).code, "shutting_down");
    assert.equal((await stopped).code, 0);
  },
);

testBothDoors(
  "main ends event streams, and answers requests that wait for a step, when it is told to stop",
  async (start) => {
    // Very long: a stream or wait that is not ended would keep the process.
    await using service = await start({ STEPWELL_SHUTDOWN_SECONDS: "300" });
    const aggregation = { mode: "round", quorum: 2, deadline_seconds: 3600 };
    const variables = [{ name: "w", shape: [] }];
    const run = `${service.url}/v1/runs/demo`;
    const created = await post(`${service.url}/v1/runs`, {
      id: "demo",
      optimizer: "SGD",
      variables,
      aggregation,
    });
    assert.equal(created.status, 201, await created.text());
    const events = await fetch(`${run}/events`);
    const read = events.text();
    const unread = await fetch(`${run}/events`);
    const contributed = fetch(`${run}/gradients`, {
      method: "POST",
      body: JSON.stringify({ gradients: { w: 1 }, client_id: "a" }),
      headers: { "Content-Type": "application/json", Prefer: "wait=60" },
    });
    await until(async () => (await (await fetch(`${run}/rounds/current`)).json()).accepted === 1);
    const { code, errors } = await service.stop();
    assert.equal(code, 0, errors);
    assert.equal((await contributed).status, 202);
    assert.match(await read, /^retry: 2000\n\nid: .*\nevent: state\n/);
    await unread.body?.cancel();
    await (await contributed).body?.cancel();
  },
);

testBothDoors("main waits for requests in flight no longer than STEPWELL_SHUTDOWN_SECONDS", async (start) => {
  // The service would wait an hour for the body.
  const settings = { STEPWELL_SHUTDOWN_SECONDS: "1", STEPWELL_UPLOAD_SECONDS: "3600" };
  await using service = await start(settings);
  await (await post(`${service.url}/v1/runs`, { ...SPEC, id: "demo" })).text();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: service.port });
  await connection.write(new TextEncoder().encode(
    "POST /v1/runs/demo/gradients HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
  ));
  await until(() => isReading(service.url));
  const begun = performance.now();
  assert.equal((await service.stop()).code, 0);
  const seconds = (performance.now() - begun) / 1000;
  assert.ok(seconds > 0.9, `${seconds} s`);
});

testBothDoors("main continues, logs it, and ends with 0 when background work fails", async (start) => {
  const data = await Deno.makeTempDir();
  try {
    await using service = await start({ STEPWELL_DATA: data, STEPWELL_SWEEP_SECONDS: "1" });
    await (await post(`${service.url}/v1/runs`, { ...SPEC, id: "demo", durability: "snapshot" })).text();
    // The next snapshot cannot be written.
    await Deno.remove(`${data}/runs`, { recursive: true });
    const stepped = await post(`${service.url}/v1/runs/demo/gradients`, { gradients: GRADIENTS });
    assert.equal(stepped.status, 200, await stepped.text());
    const { code, errors } = await service.stop();
    assert.equal(code, 0, errors);
    const lines = errors.trimEnd().split("\n").map((line) => JSON.parse(line));
    const failures = lines.filter(({ level }) => level === "error");
    assert.ok(failures.length > 0, errors);
    for (const { run, code } of failures) assert.deepEqual([run, code], ["demo", "storage_failed"]);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
});

testBothDoors("main finishes an answer being sent when it is told to stop", async (start) => {
  await using service = await start(PATIENT);
  const variables = [{ name: "w", shape: [5_000_000], initial: 1 }];
  await (await post(`${service.url}/v1/runs`, { id: "demo", optimizer: "SGD", variables })).text();
  const headers = { Accept: "application/vnd.safetensors" };
  const response = await fetch(`${service.url}/v1/runs/demo/variables`, { headers });
  const reader = response.body?.getReader();
  let bytes = (await reader?.read())?.value?.length ?? 0;
  const stopped = service.stop();
  await until(() => isStopping(service.url));
  for (let chunk = await reader?.read(); chunk?.value; chunk = await reader?.read()) {
    bytes += chunk.value.length;
  }
  assert.equal(String(bytes), response.headers.get("Content-Length"));
  assert.equal((await stopped).code, 0);
});

testBothDoors("main survives more connections and runs than it may open files", async (start) => {
  await using service = await start({}, 256);
  const { hostname } = new URL(service.url);
  const step = (run: string) => post(`${service.url}/v1/runs/${run}/gradients`, { gradients: { w: [1, 1] } });
  for (let n = 0; n < 300; n++) {
    const spec = { id: `run-${n}`, optimizer: "SGD", variables: [{ name: "w", shape: [2] }] };
    const created = await post(`${service.url}/v1/runs`, spec);
    assert.equal(created.status, 201, await created.text());
  }
  const connections: Deno.Conn[] = [];
  for (let n = 0; n < 400; n++) {
    await Deno.connect({ hostname, port: service.port }).then((one) => connections.push(one), () => {});
  }
  for (const connection of connections) connection.close();
  await until(async () => {
    try {
      return (await (await step("run-7")).json()).applied;
    } catch {
      return false;
    }
  });
  for (const run of ["run-0", "run-299"]) assert.equal((await (await step(run)).json()).iterations, 1);
  const { code, errors } = await service.stop();
  assert.equal(code, 0, errors);
  assert.match(errors, /Cannot accept connections: no file descriptor is left/);
});
