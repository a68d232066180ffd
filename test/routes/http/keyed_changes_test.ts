/** Changes that are no contributions, repeated with their Idempotency-Key: one change, one answer, whatever happens. */
import assert from "node:assert/strict";
import { IO_ERROR, NO_SPACE } from "../../store/support/disk.ts";
import { newWorld, type World } from "../../run/support/stored.ts";
import { until } from "../../support/waiting.ts";
import {
  assertProblem,
  f32,
  file,
  GRADIENTS,
  JSON_TYPE,
  type Service,
  SPEC,
  startRun,
  startService,
  stateOf,
} from "../support/harness.ts";

interface Change {
  readonly method: string;
  readonly path: string;
  /** Its body may need a run. */
  readonly body: (service: Service) => Promise<unknown>;
  /** An accepted body that no client sends with the same key. */
  readonly other: (service: Service) => Promise<unknown>;
  /** What the run refuses, and how. */
  readonly refused: readonly [body: unknown, code: Parameters<typeof assertProblem>[1], status: number];
}

const checkpointOf = async (service: Service, change?: unknown) => {
  const id = `source-${crypto.randomUUID()}`;
  await startRun(service, id);
  if (change) await taken(await service.send("PUT", `/v1/runs/${id}/variables`, { body: change }));
  const bytes = await (await service.send("GET", `/v1/runs/${id}/checkpoint`)).bytes();
  await taken(await service.send("DELETE", `/v1/runs/${id}`));
  return bytes;
};

async function taken(response: Response): Promise<string> {
  const text = await response.text();
  assert.ok(response.ok, text);
  return text;
}

const weights = async (service: Service, iterations: number) => {
  const list = JSON.parse(await taken(await service.send("GET", "/v1/runs/demo/weights"))).weights;
  return { weights: [iterations, ...list.slice(1)] };
};
// deno-lint-ignore require-await -- others need to ask the service
const always = (body: unknown) => async () => body;

const CHANGES: Readonly<Record<string, Change>> = {
  put_variables: {
    method: "PUT",
    path: "/v1/runs/demo/variables",
    body: always({ variables: { bias: [7, 8, 9] } }),
    other: always({ variables: { bias: [7, 8, 10] } }),
    refused: [{ variables: { bias: [1] } }, "shape_mismatch", 422],
  },
  "put_variables of a file": {
    method: "PUT",
    path: "/v1/runs/demo/variables",
    body: always(file({ bias: f32([3], [7, 8, 9]) })),
    other: always({ variables: { bias: [7, 8, 9] } }),
    refused: [file({ bias: f32([1], [7]) }), "shape_mismatch", 422],
  },
  put_weights: {
    method: "PUT",
    path: "/v1/runs/demo/weights",
    body: (service) => weights(service, 41),
    other: (service) => weights(service, 42),
    refused: [{ weights: [1] }, "invalid_weights", 422],
  },
  patch_optimizer: {
    method: "PATCH",
    path: "/v1/runs/demo/optimizer",
    // The warning is a part of the answer.
    body: always({ config: { learning_rate: 0.5, decay: 0.1, clipnorm: 2 } }),
    other: always({ config: { learning_rate: 0.25 } }),
    refused: [{ config: { nonsense: 1 } }, "invalid_config", 422],
  },
  put_checkpoint: {
    method: "PUT",
    path: "/v1/runs/demo/checkpoint",
    body: (service) => checkpointOf(service),
    other: (service) => checkpointOf(service, { variables: { bias: [7, 8, 9] } }),
    refused: [file({ bias: f32([1], [7]) }), "invalid_request", 422],
  },
};

const serve = (world: World) =>
  startService({}, { registry: world.registry, wallClock: () => new Date(world.now) });

interface Sent {
  readonly body: unknown;
  readonly key?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const send = (service: Service, change: Change, { body, key = "key", path, headers }: Sent) =>
  service.send(change.method, path ?? change.path, { body, headers: { "Idempotency-Key": key, ...headers } });

/** The whole answer: everything that a client sees of it. */
async function answered(response: Response, { replayed = false } = {}): Promise<unknown> {
  const text = await taken(response);
  assert.equal(response.headers.get("Idempotency-Replayed"), replayed ? "true" : null);
  return [response.status, text, response.headers.get("ETag"), response.headers.get("Location")];
}

const versionOf = async (service: Service) =>
  JSON.parse(await taken(await service.send("GET", "/v1/runs/demo"))).version;

const step = async (service: Service) =>
  void await taken(
    await service.send("POST", "/v1/runs/demo/gradients", { body: { gradients: GRADIENTS } }),
  );

for (const [name, change] of Object.entries(CHANGES)) {
  const withService = async (
    act: (service: Service, body: unknown, world: World) => Promise<void>,
    spec: object = {},
  ) => {
    await using world = await newWorld();
    const service = serve(world);
    await taken(await service.send("POST", "/v1/runs", { body: { ...SPEC, ...spec, id: "demo" } }));
    await step(service);
    await act(service, await change.body(service), world);
  };

  Deno.test(`${name} answers a repeated key with the first answer and changes nothing`, async () => {
    await withService(async (service, body) => {
      const other = await change.other(service);
      const first = await answered(await send(service, change, { body }));
      for (const _ of "twice") {
        assert.deepEqual(await answered(await send(service, change, { body }), { replayed: true }), first);
        assert.equal(await versionOf(service), 2);
      }
      await assertProblem(await send(service, change, { body: other }), "key_reused", 422);
      // Later changes, one of the same kind among them, do not change the answer to the key.
      await step(service);
      await answered(await send(service, change, { body: other, key: "another" }));
      const state = await stateOf(service);
      assert.deepEqual(await answered(await send(service, change, { body }), { replayed: true }), first);
      await assertProblem(await send(service, change, { body: other }), "key_reused", 422);
      await assertProblem(
        await send(service, CHANGES["patch_optimizer"] as Change, { body: { config: { epsilon: 1 } } }),
        "key_reused",
        422,
      );
      assert.equal(await stateOf(service), state);
    });
  });

  Deno.test(`${name} remembers its keys after a crash, a power failure, snapshots and eviction`, async () => {
    for (const durability of ["journal", "snapshot"]) {
      await withService(async (service, body, world) => {
        const other = await change.other(service);
        const first = await answered(await send(service, change, { body }));
        const ends: Record<string, () => Promise<unknown>> = {
          crash: () => world.restart(),
          power_failure: () => world.restart(world.disk.powerCut()),
          eviction: () => world.registry.sweep({ idleMs: 0 }),
          end: async () => {
            await world.registry.shutdown();
            await world.restart();
          },
          crash_after_snapshot: () => world.restart(),
        };
        // Without a journal a crash undoes what is newer than the snapshot, answers too.
        if (durability === "snapshot") await world.registry.sweep({ idleMs: 0 });
        for (const [what, end] of Object.entries(ends)) {
          const second = await answered(await send(serve(world), change, { body, key: what }));
          if (durability === "snapshot") await world.registry.sweep({ idleMs: 0 });
          await end();
          const now = serve(world), state = await stateOf(now);
          assert.deepEqual(
            await answered(await send(now, change, { body }), { replayed: true }),
            first,
            what,
          );
          const again = await answered(await send(now, change, { body, key: what }), { replayed: true });
          assert.deepEqual(again, second, what);
          await assertProblem(await send(now, change, { body: other, key: what }), "key_reused", 422);
          assert.equal(await stateOf(now), state);
        }
      }, { durability });
    }
  });

  Deno.test(`a refused ${name} leaves its key free`, async () => {
    await withService(async (service, body, world) => {
      const [wrong, code, status] = change.refused;
      await assertProblem(await send(service, change, { body: wrong }), code, status);
      await assertProblem(
        await send(service, change, { body, headers: { "If-Match": '"v7"' } }),
        "version_mismatch",
        412,
      );
      await assertProblem(
        await send(service, change, { body, headers: { "Idempotency-Key": "a b" } }),
        "malformed_header",
        400,
      );
      for (
        const [message, code, status] of [
          [NO_SPACE, "storage_full", 507],
          [IO_ERROR, "storage_failed", 503],
        ] as const
      ) {
        for (const operation of ["write", "flush"]) {
          world.disk.fault = (each) => {
            if (each === operation) throw new Error(message);
          };
          await assertProblem(await send(service, change, { body }), code, status);
          world.disk.fault = () => {};
          assert.equal(await versionOf(service), 1);
        }
      }
      const first = await answered(await send(service, change, { body }));
      assert.deepEqual(await answered(await send(service, change, { body }), { replayed: true }), first);
      assert.equal(await versionOf(service), 2);
    });
  });

  Deno.test(`${name} answers a retry that names the version before its own change`, async () => {
    await withService(async (service, body) => {
      const headers = { "If-Match": '"v1"' };
      const first = await answered(await send(service, change, { body, headers }));
      assert.deepEqual(
        await answered(await send(service, change, { body, headers }), { replayed: true }),
        first,
      );
      await assertProblem(await send(service, change, { body, headers, key: "b" }), "version_mismatch", 412);
      await assertProblem(
        await send(service, change, { body, headers: { "If-Match": "v1" } }),
        "malformed_header",
        400,
      );
    });
  });

  Deno.test(`${name} refuses a key that is in progress, and simultaneous ones make one change`, async () => {
    await withService(async (service, body) => {
      const bytes = body instanceof Uint8Array ? body : new TextEncoder().encode(JSON.stringify(body));
      const { promise, resolve } = Promise.withResolvers<void>();
      const slow = new ReadableStream<Uint8Array<ArrayBuffer>>({
        async start(controller) {
          controller.enqueue(new Uint8Array(bytes.subarray(0, 10)));
          await promise;
          controller.enqueue(new Uint8Array(bytes.subarray(10)));
          controller.close();
        },
      });
      const type = body instanceof Uint8Array ? "application/vnd.safetensors" : JSON_TYPE;
      const sent = send(service, change, { body: slow, headers: { "Content-Type": type } });
      await until(() => service.uploads.open === 1);
      await assertProblem(await send(service, change, { body }), "key_in_progress", 409);
      resolve();
      const first = await answered(await sent);
      assert.deepEqual(await answered(await send(service, change, { body }), { replayed: true }), first);
      const many = await Promise.all(
        Array.from({ length: 4 }, () => send(service, change, { body, key: "b" })),
      );
      assert.equal(await versionOf(service), 3);
      for (const response of many) {
        if (response.status === 409) await assertProblem(response, "key_in_progress", 409);
        else assert.equal(JSON.parse(await taken(response)).version ?? 3, 3);
      }
    });
  });
}

Deno.test("put_variables answers with the new values, and a retry without them", async () => {
  await using world = await newWorld();
  const service = serve(world), change = CHANGES["put_variables"] as Change;
  await startRun(service);
  const body = await change.body(service), headers = { Prefer: "return=representation" };
  const first = JSON.parse(await taken(await send(service, change, { body, headers })));
  assert.deepEqual(first.variables.bias, [7, 8, 9]);
  const again = await send(service, change, { body, headers });
  assert.equal(again.headers.get("Idempotency-Replayed"), "true");
  assert.deepEqual(await again.json(), { iterations: 1, version: 2 });
});

Deno.test("patch_optimizer answers a repeated key with the present optimizer if the first one was too long to keep", async () => {
  await using world = await newWorld();
  const service = serve(world), change = CHANGES["patch_optimizer"] as Change;
  await startRun(service);
  const boundaries = Array.from({ length: 3000 }, (_, n) => n + 1);
  const learning_rate = {
    class_name: "PiecewiseConstantDecay",
    config: { boundaries, values: [0, ...boundaries] },
  };
  const body = { config: { learning_rate } };
  const first = await answered(await send(service, change, { body }));
  await world.restart();
  const again = await answered(await send(serve(world), change, { body }), { replayed: true });
  assert.deepEqual(again, first);
  assert.equal(await versionOf(serve(world)), 2);
});

Deno.test("put_checkpoint of a new run answers a retry as it answered first, also after the run has gone on", async () => {
  for (const durability of ["journal", "snapshot", "none"]) {
    await using world = await newWorld();
    let service = serve(world);
    await taken(await service.send("POST", "/v1/runs", { body: { ...SPEC, id: "source", durability } }));
    const body = await (await service.send("GET", "/v1/runs/source/checkpoint")).bytes();
    const change = CHANGES["put_checkpoint"] as Change, headers = { "If-None-Match": "*" };
    const put = (key = "key") => send(service, change, { body, headers, key });
    const first = await answered(await put());
    assert.deepEqual((first as unknown[])[0], 201);
    assert.deepEqual((first as unknown[])[3], "/v1/runs/demo");
    const described = await taken(await service.send("GET", "/v1/runs/demo"));
    const told = (text: unknown) => ({ ...JSON.parse(String(text)), journal_bytes: 0 });
    assert.deepEqual(told((first as unknown[])[1]), told(described), durability);
    assert.deepEqual(await answered(await put(), { replayed: true }), first);
    if (durability !== "none") {
      await world.restart();
      service = serve(world);
    }
    await step(service);
    assert.deepEqual(await answered(await put(), { replayed: true }), first);
    await assertProblem(await put("another"), "version_mismatch", 412);
    // The key is the run's: it goes with the run.
    await taken(await service.send("DELETE", "/v1/runs/demo"));
    assert.deepEqual((await answered(await put()) as unknown[])[0], 201);
  }
});

Deno.test("put_checkpoint keeps the keys of the run whose place it takes, and a failed one keeps none of its own", async () => {
  await using world = await newWorld();
  const service = serve(world), change = CHANGES["put_checkpoint"] as Change;
  await startRun(service);
  const patch = CHANGES["patch_optimizer"] as Change, config = await patch.body(service);
  const patched = await answered(await send(service, patch, { body: config }));
  const body = await change.body(service);
  world.fault = () => {
    throw new Error(IO_ERROR);
  };
  await assertProblem(await send(service, change, { body, key: "restore" }), "storage_failed", 503);
  world.fault = () => {};
  await assertProblem(await send(service, change, { body }), "key_reused", 422);
  await answered(await send(service, change, { body, key: "restore" }));
  await world.restart();
  assert.deepEqual(
    await answered(await send(serve(world), patch, { body: config }), { replayed: true }),
    patched,
  );
  await answered(await send(serve(world), change, { body, key: "restore" }), { replayed: true });
});
