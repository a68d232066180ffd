/** Requests that are repeated with their Idempotency-Key: one step, one run, one answer, whatever happens between. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { IO_ERROR, NO_SPACE } from "../../store/support/disk.ts";
import { newWorld, type World } from "../../run/support/stored.ts";
import { until } from "../../support/waiting.ts";
import {
  assertProblem,
  f32,
  file,
  FILE_TYPE,
  GRADIENTS,
  i64,
  readFile,
  type Service,
  SPEC,
  startRun,
  startService,
} from "../support/harness.ts";

const PATH = "/v1/runs/demo/gradients";
const BODY = { gradients: GRADIENTS };
const JSON_BYTES = new TextEncoder().encode(JSON.stringify(BODY));
const FILE = file({
  kernel: f32([2, 3], [1, 2, 3, 4, 5, 6]),
  "emb#indices": i64([2], [3, 0]),
  "emb#values": f32([2, 2], [1, 2, 3, 4]),
});

const serve = (world: World) =>
  startService({}, { registry: world.registry, wallClock: () => new Date(world.now) });

const post = (
  service: Service,
  key: string,
  options: Parameters<Service["send"]>[2] & { path?: string } = {},
) =>
  service.send("POST", options.path ?? PATH, {
    ...options,
    body: options.body ?? BODY,
    headers: { "Idempotency-Key": key, ...options.headers },
  });

const versionOf = async (service: Service, id = "demo") =>
  (await (await service.send("GET", `/v1/runs/${id}`)).json()).version;

async function assertStepped(response: Response, { replayed = false } = {}): Promise<string> {
  const text = await response.text();
  assert.equal(response.status, 200, text);
  assert.equal(response.headers.get("Idempotency-Replayed"), replayed ? "true" : null);
  const { version } = JSON.parse(text);
  assert.equal(response.headers.get("ETag"), `"v${version}"`);
  return text;
}

async function withService(act: (service: Service, world: World) => Promise<void>): Promise<void> {
  await using world = await newWorld();
  const service = serve(world);
  await startRun(service);
  await act(service, world);
}

const BODIES: Readonly<Record<string, { body: unknown; headers?: Record<string, string> }>> = {
  JSON: { body: BODY },
  safetensors: { body: FILE },
  "gzip JSON": {
    body: new Uint8Array(gzipSync(JSON_BYTES)),
    headers: { "Content-Type": "application/json", "Content-Encoding": "gzip" },
  },
  "gzip safetensors": { body: new Uint8Array(gzipSync(FILE)), headers: { "Content-Encoding": "gzip" } },
  "octet-stream": { body: FILE, headers: { "Content-Type": "application/octet-stream" } },
};

for (const [what, options] of Object.entries(BODIES)) {
  Deno.test(`POST gradients answers a repeated key with the first answer, in ${what}`, async () => {
    await withService(async (service) => {
      const first = await assertStepped(await post(service, "key-1", options));
      for (let n = 0; n < 3; n++) {
        assert.equal(await assertStepped(await post(service, "key-1", options), { replayed: true }), first);
      }
      assert.equal(await versionOf(service), 2);
      // A later step does not change the answer to the key.
      await assertStepped(await post(service, "key-2", options));
      assert.equal(await assertStepped(await post(service, "key-1", options), { replayed: true }), first);
      assert.equal(await versionOf(service), 3);
    });
  });
}

Deno.test("POST gradients refuses a key with a different request, and accepts it for another run", async () => {
  await withService(async (service) => {
    await startRun(service, "other");
    await assertStepped(await post(service, "key"));
    const others: Parameters<typeof post>[2][] = [
      { body: { gradients: { ...GRADIENTS, scale: 0.26 } } },
      { body: `${JSON.stringify(BODY)} ` },
      { body: FILE },
      { body: FILE, headers: { "Content-Type": "application/octet-stream" } },
      { path: `${PATH}?dry_run=true` },
      { path: `${PATH}?aggregate=true` },
      { headers: { "Content-Type": "application/json; charset=utf-8" } },
    ];
    for (const other of others) await assertProblem(await post(service, "key", other), "key_reused", 422);
    assert.equal(await versionOf(service), 2);
    await assertStepped(await post(service, "key", { path: "/v1/runs/other/gradients" }));
    await assertStepped(await post(service, "KEY"));
  });
});

/** A body that pauses in the middle until it is told to continue. */
function slowBody() {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async start(controller) {
      controller.enqueue(JSON_BYTES.slice(0, 20));
      try {
        await promise;
        controller.enqueue(JSON_BYTES.slice(20));
        controller.close();
      } catch (error) {
        controller.error(error);
      }
    },
  });
  return { body, goOn: resolve, breakOff: () => reject(new Error("gone")) };
}

const JSON_HEADERS = { "Content-Type": "application/json", "Idempotency-Key": "slow" };

Deno.test("POST gradients refuses a key that is in progress, and answers it afterwards", async () => {
  await withService(async (service) => {
    const { body, goOn } = slowBody();
    const first = service.send("POST", PATH, { body, headers: JSON_HEADERS });
    await until(() => service.uploads.open === 1);
    await assertProblem(await post(service, "slow"), "key_in_progress", 409);
    await assertStepped(await post(service, "another"));
    goOn();
    const text = await assertStepped(await first);
    assert.equal(JSON.parse(text).version, 3);
    assert.equal(await assertStepped(await post(service, "slow"), { replayed: true }), text);
  });
});

Deno.test("simultaneous POST gradients with one key make one step", async () => {
  await withService(async (service) => {
    const responses = await Promise.all(Array.from({ length: 8 }, () => post(service, "same")));
    const statuses = responses.map(({ status }) => status);
    assert.equal(await versionOf(service), 2);
    assert.ok(statuses.includes(200));
    for (const response of responses) {
      if (response.status === 409) await assertProblem(response, "key_in_progress", 409);
      else assert.equal((await response.json()).version, 2);
    }
  });
});

Deno.test("a refused POST gradients leaves its key free", async () => {
  await withService(async (service, world) => {
    const refusals: [Parameters<typeof post>[2], Parameters<typeof assertProblem>[1], number][] = [
      [{ body: "{" }, "malformed_json", 400],
      [{ body: { gradients: { bias: [1, 2] } } }, "shape_mismatch", 422],
      [{ body: { gradients: {} } }, "no_gradients", 422],
      [{ body: { gradients: { bias: ["NaN", 0, 0] } } }, "non_finite_gradient", 422],
      [{ body: FILE.slice(0, -1) }, "incomplete_body", 400],
      [{ headers: { "If-Match": '"v7"' } }, "version_mismatch", 412],
      [{ headers: { "Content-Type": "text/plain" } }, "unsupported_media_type", 415],
      [{ body: { ...BODY, hyperparameters: { nonsense: 1 } } }, "invalid_config", 422],
    ];
    for (const [options, code, status] of refusals) {
      await assertProblem(await post(service, "key", options), code, status);
    }
    for (
      const [message, code, status] of [[NO_SPACE, "storage_full", 507], [
        IO_ERROR,
        "storage_failed",
        503,
      ]] as const
    ) {
      for (const operation of ["write", "flush"]) {
        world.disk.fault = (each) => {
          if (each === operation) throw new Error(message);
        };
        await assertProblem(await post(service, "key"), code, status);
        world.disk.fault = () => {};
        assert.equal(await versionOf(service), 1);
      }
    }
    const { body, breakOff } = slowBody();
    const broken = service.send("POST", PATH, {
      body,
      headers: { ...JSON_HEADERS, "Idempotency-Key": "key" },
    });
    await until(() => service.uploads.open === 1);
    breakOff();
    await assertProblem(await broken, "incomplete_body", 400);
    await assertStepped(await post(service, "key"));
    await assertStepped(await post(service, "key"), { replayed: true });
    assert.equal(await versionOf(service), 2);
  });
});

Deno.test("a POST gradients without effect leaves its key free", async () => {
  await withService(async (service) => {
    for (let n = 0; n < 2; n++) {
      const response = await post(service, "key", { path: `${PATH}?dry_run=true` });
      assert.equal(JSON.parse(await assertStepped(response)).applied, false);
    }
    await assertStepped(await post(service, "key"));
  });
});

Deno.test("POST gradients answers a retry that names the version before its own step", async () => {
  await withService(async (service) => {
    const headers = { "If-Match": '"v1"' };
    const first = await assertStepped(await post(service, "key", { headers }));
    assert.equal(await assertStepped(await post(service, "key", { headers }), { replayed: true }), first);
    await assertProblem(await post(service, "other", { headers }), "version_mismatch", 412);
    await assertProblem(
      await post(service, "other", { headers: { "If-Match": "v1" } }),
      "malformed_header",
      400,
    );
  });
});

Deno.test("POST gradients answers with the new values, and a retry with the figures only", async () => {
  await withService(async (service) => {
    const headers = { Prefer: "return=representation", Accept: FILE_TYPE };
    const first = await post(service, "key", { headers });
    assert.equal(first.headers.get("Content-Type"), FILE_TYPE);
    const { metadata } = readFile(await first.bytes());
    const again = JSON.parse(
      await assertStepped(await post(service, "key", { headers }), { replayed: true }),
    );
    assert.deepEqual([String(again.version), String(again.gradient_norm)], [
      metadata["version"],
      metadata["gradient_norm"],
    ]);
    assert.deepEqual(Object.keys(again.variables), Object.keys(GRADIENTS));
  });
});

Deno.test("POST gradients remembers its keys after a crash, a power failure, snapshots and eviction", async () => {
  await withService(async (service, world) => {
    const first = await assertStepped(await post(service, "before"));
    const ends: Record<string, () => Promise<unknown>> = {
      crash: () => world.restart(),
      power_failure: () => world.restart(world.disk.powerCut()),
      eviction: () => world.registry.sweep({ idleMs: 0 }),
      end: async () => {
        await world.registry.shutdown();
        await world.restart();
      },
    };
    for (const [what, end] of Object.entries(ends)) {
      const second = await assertStepped(await post(serve(world), what));
      await end();
      const now = serve(world);
      const version = await versionOf(now);
      assert.equal(await assertStepped(await post(now, "before"), { replayed: true }), first, what);
      assert.equal(await assertStepped(await post(now, what), { replayed: true }), second, what);
      await assertProblem(await post(now, what, { body: FILE }), "key_reused", 422);
      assert.equal(await versionOf(now), version);
    }
  });
});

Deno.test("POST gradients remembers its keys after a checkpoint has replaced the run", async () => {
  await withService(async (service) => {
    const checkpoint = await (await service.send("GET", "/v1/runs/demo/checkpoint")).bytes();
    const first = await assertStepped(await post(service, "key"));
    const put = await service.send("PUT", "/v1/runs/demo/checkpoint", { body: checkpoint });
    assert.equal((await put.json()).version, 3);
    assert.equal(await assertStepped(await post(service, "key"), { replayed: true }), first);
    assert.equal(await versionOf(service), 3);
    // In a fork the key is a different one.
    await (await service.send("PUT", "/v1/runs/fork/checkpoint", { body: checkpoint })).body?.cancel();
    await assertStepped(await post(service, "key", { path: "/v1/runs/fork/gradients" }));
  });
});

Deno.test("POST gradients keeps NaN and infinite figures, and those of variables with any name", async () => {
  await using world = await newWorld();
  const service = serve(world);
  const created = await service.send("POST", "/v1/runs", {
    body: {
      id: "demo",
      optimizer: "SGD",
      non_finite: "propagate",
      variables: [{ name: "number", shape: [] }, { name: "__proto__", shape: [2] }],
    },
  });
  assert.equal(created.status, 201, await created.text());
  const body = '{"gradients": {"number": "NaN", "__proto__": ["Infinity", 1]}}';
  const first = await assertStepped(await post(service, "key", { body }));
  assert.match(first, /"number":\{"gradient_norm":"NaN"\}/);
  await world.restart();
  assert.equal(await assertStepped(await post(serve(world), "key", { body }), { replayed: true }), first);
});

Deno.test("an invalid Idempotency-Key is refused", async () => {
  await withService(async (service) => {
    for (const key of ["", "a b", "x".repeat(256), "ä"]) {
      await assertProblem(await post(service, key), "malformed_header", 400);
      await assertProblem(
        await post(service, key, { path: "/v1/runs", body: { ...SPEC, id: "new" } }),
        "malformed_header",
        400,
      );
    }
    for (const key of ["x".repeat(255), '"8e03978e-40d5-43e8-bc93-6894a57f9324"', "!#$~"]) {
      await assertStepped(await post(service, key));
    }
  });
});

const create = (service: Service, key: string, body: unknown) =>
  post(service, key, { path: "/v1/runs", body });

async function assertCreated(response: Response, { replayed = false } = {}): Promise<string> {
  const text = await response.text();
  assert.equal(response.status, 201, text);
  assert.equal(response.headers.get("Idempotency-Replayed"), replayed ? "true" : null);
  assert.equal(response.headers.get("Location"), `/v1/runs/${JSON.parse(text).id}`);
  return text;
}

for (const durability of ["journal", "snapshot", "none"]) {
  Deno.test(`repeated POST runs with one key make one run, with durability ${durability}`, async () => {
    await using world = await newWorld();
    let service = serve(world);
    const spec = { ...SPEC, durability };
    const first = await assertCreated(await create(service, "key", spec));
    const { id } = JSON.parse(first);
    await post(service, "step", { path: `/v1/runs/${id}/gradients` });
    assert.equal(await assertCreated(await create(service, "key", spec), { replayed: true }), first);
    await assertProblem(await create(service, "key", { ...spec, id: "other" }), "key_reused", 422);
    if (durability !== "none") {
      await world.restart();
      service = serve(world);
      assert.equal(await assertCreated(await create(service, "key", spec), { replayed: true }), first);
    }
    assert.equal(world.registry.figures().runs, 1);
    await assertCreated(await create(service, "another", spec));
    assert.equal(world.registry.figures().runs, 2);
    // The answer belongs to the request, whatever has happened to the run.
    await service.send("DELETE", `/v1/runs/${id}`);
    assert.equal(await assertCreated(await create(service, "key", spec), { replayed: true }), first);
  });
}

Deno.test("POST runs forgets a key after a day of the injected clock, with and without restarts", async () => {
  await using world = await newWorld({ newId: () => crypto.randomUUID() });
  const create = async () => {
    const response = await post(serve(world), "key-1", { path: "/v1/runs", body: SPEC });
    assert.equal(response.status, 201, await response.clone().text());
    return (await response.json()).id;
  };
  const DAY_MS = 24 * 3600 * 1000;
  const first = await create();
  world.now = DAY_MS;
  assert.equal(await create(), first);
  await world.restart();
  assert.equal(await create(), first);
  world.now = DAY_MS + 1;
  const second = await create();
  assert.notEqual(second, first);
  await world.restart();
  assert.equal(await create(), second);
});

Deno.test("a refused POST runs leaves its key free, and simultaneous ones with one key make one run", async () => {
  await using world = await newWorld();
  const service = serve(world);
  await assertProblem(await create(service, "key", { ...SPEC, optimizer: "Nonsense" }), "unknown_class", 422);
  world.disk.fault = () => {
    throw new Error(NO_SPACE);
  };
  await assertProblem(await create(service, "key", SPEC), "storage_full", 507);
  world.disk.fault = () => {};
  const responses = await Promise.all([1, 2, 3].map(() => create(service, "key", SPEC)));
  assert.deepEqual(responses.map(({ status }) => status).sort(), [201, 409, 409]);
  for (const response of responses) {
    if (response.status === 409) await assertProblem(response, "key_in_progress", 409);
    else await response.body?.cancel();
  }
  assert.equal(world.registry.figures().runs, 1);
});

Deno.test("POST runs answers a repeated key with the current run if the first answer was too long to keep", async () => {
  await using world = await newWorld();
  const service = serve(world);
  const variables = Array.from({ length: 300 }, (_, n) => ({ name: `layer-${n}/kernel`, shape: [2] }));
  const spec = { optimizer: "SGD", variables };
  const first = JSON.parse(await assertCreated(await create(service, "key", spec)));
  const again = JSON.parse(await assertCreated(await create(service, "key", spec), { replayed: true }));
  assert.deepEqual(again, first);
});
