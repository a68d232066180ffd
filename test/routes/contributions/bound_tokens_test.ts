/** What a token that may only contribute can do to a round, and to the other clients in it: nothing but its own part. */
import assert from "node:assert/strict";
import { assertProblem, f32, file, type Service } from "../support/harness.ts";
import { newWorld } from "../../run/support/stored.ts";
import { EventReader, isSettled } from "../support/rounds.ts";
import { entryOf, startWithTokens } from "../support/tokens.ts";

const RUN = "/v1/runs/demo", STEP = `${RUN}/gradients`;

const bound = (name: string) =>
  entryOf(name, { scopes: ["contribute"], runs: ["demo"], client_id: `client-${name}` });
const ENTRIES = [
  bound("a"),
  bound("b"),
  entryOf("free", { scopes: ["contribute"] }),
  entryOf("writer", { scopes: ["write"] }),
];

async function startRounds(
  aggregation: object = { mode: "round", quorum: 3 },
  replaced: Parameters<typeof startWithTokens>[2] = {},
) {
  const service = startWithTokens(ENTRIES, {}, replaced);
  const body = {
    id: "demo",
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [{ name: "w", shape: [] }],
    aggregation,
  };
  const created = await service.send("POST", "/v1/runs", { body });
  assert.equal(created.status, 201, await created.text());
  return service;
}

const clientsOf = async (service: Service) => {
  const { contributions } = await (await service.send("GET", `${RUN}/rounds/current`)).json();
  return contributions.map(({ client_id }: { client_id: string }) => client_id);
};

Deno.test("a bound token contributes as its client, in JSON, in a file and by a loss, whether it says so or not", async () => {
  const gradients = { w: 1 };
  const bodies = [
    ["gradients", { gradients }],
    ["gradients", { gradients, client_id: "client-a" }],
    ["gradients", file({ w: f32([], [1]) })],
    ["gradients", file({ w: f32([], [1]) }, { client_id: "client-a" })],
    ["minimize", { loss: "w * w" }],
    ["minimize", { loss: "w * w", client_id: "client-a" }],
  ] as const;
  for (const [operation, body] of bodies) {
    const service = await startRounds();
    const response = await service.sendAs("a")("POST", `${RUN}/${operation}`, { body });
    assert.equal(response.status, 202, await response.text());
    assert.deepEqual(await clientsOf(service), ["client-a"]);
    const again = await service.sendAs("a")("POST", `${RUN}/${operation}`, { body });
    await assertProblem(again, "contribution_repeated", 409);
    service.losses.close();
  }
});

Deno.test("a bound token does not contribute as another client, and a free one as any", async () => {
  const service = await startRounds();
  const bodies = [
    ["gradients", { gradients: { w: 1 }, client_id: "client-b" }],
    ["gradients", file({ w: f32([], [1]) }, { client_id: "client-b" })],
    ["minimize", { loss: "w * w", client_id: "client-b" }],
  ] as const;
  for (const [operation, body] of bodies) {
    for (const headers of [{}, { "Idempotency-Key": "k" }]) {
      const refused = await service.sendAs("a")("POST", `${RUN}/${operation}`, { body, headers });
      const { detail, issues } = await assertProblem(refused, "forbidden", 403);
      assert.match(detail, /as the client "client-b" with the token "a": must be "client-a" or absent$/);
      assert.equal(issues[0]?.path, "client_id");
    }
  }
  assert.deepEqual(await clientsOf(service), []);
  assert.equal(service.registry.figures().stagingBytes, 0);
  const free = await service.sendAs("free")("POST", STEP, { body: { gradients: { w: 1 }, client_id: "x" } });
  assert.equal(free.status, 202);
  assert.deepEqual(await clientsOf(service), ["x"]);
  service.losses.close();
});

Deno.test("a contribution is withdrawn by its own bound token, or by one with the scope write", async () => {
  const service = await startRounds({ mode: "round", quorum: 3, aggregator: "Median" });
  const contribute = async (name: string) =>
    assert.equal((await service.sendAs(name)("POST", STEP, { body: { gradients: { w: 1 } } })).status, 202);
  const withdraw = (name: string, client: string) =>
    service.sendAs(name)("DELETE", `${RUN}/rounds/current/contributions/${client}`);
  await contribute("a");
  await contribute("b");
  for (
    const [name, client, is] of [
      ["a", "client-b", 'to the client "client-a"'],
      ["free", "client-a", "to no client"],
      // Whether there is one decides nothing.
      ["a", "client-x", 'to the client "client-a"'],
    ] as const
  ) {
    const { detail } = await assertProblem(await withdraw(name, client), "forbidden", 403);
    assert.ok(detail.includes(`"${client}" with the token "${name}": it is bound ${is}`), detail);
  }
  assert.deepEqual(await clientsOf(service), ["client-a", "client-b"]);
  assert.equal((await withdraw("a", "client-a")).status, 204);
  assert.equal((await withdraw("writer", "client-b")).status, 204);
  assert.deepEqual(await clientsOf(service), []);
});

Deno.test("aggregate=false, which steps past the round of the others, needs the scope write", async () => {
  for (
    const [operation, body] of [["gradients", { gradients: { w: 1 } }], ["minimize", { loss: "w" }]] as const
  ) {
    const service = await startRounds();
    for (
      const path of [
        `${RUN}/${operation}?aggregate=false`,
        `${RUN}/${operation}?aggregate=false&dry_run=true`,
      ]
    ) {
      for (const name of ["a", "free"]) {
        const refused = await service.sendAs(name)("POST", path, { body });
        assert.match(refused.headers.get("WWW-Authenticate") ?? "", /scope="write"/);
        const { detail } = await assertProblem(refused, "forbidden", 403);
        assert.match(detail, /aggregate=false with the token ".*": its scope is contribute, must be write$/);
      }
    }
    assert.equal((await (await service.send("GET", RUN)).json()).iterations, 0);
    const applied = await service.sendAs("writer")("POST", `${RUN}/${operation}?aggregate=false`, { body });
    assert.equal((await applied.json()).iterations, 1);
    service.losses.close();
  }
});

Deno.test("tokens do not meet each other's idempotency keys", async () => {
  const service = await startRounds({ mode: "immediate" });
  const headers = { "Idempotency-Key": "step-1" };
  const step = async (name: string, w: number) => {
    const response = await service.sendAs(name)("POST", STEP, { body: { gradients: { w } }, headers });
    const replayed = response.headers.get("Idempotency-Replayed");
    return { status: response.status, replayed, ...await response.json() };
  };
  // The same request of another token is another request, and so is another one.
  assert.deepEqual((await step("a", 1)).iterations, 1);
  assert.deepEqual((await step("b", 1)).iterations, 2);
  assert.deepEqual((await step("free", 7)).iterations, 3);
  for (const [name, w, iterations] of [["a", 1, 1], ["b", 1, 2], ["free", 7, 3]] as const) {
    const again = await step(name, w);
    assert.deepEqual([again.status, again.replayed, again.iterations], [200, "true", iterations]);
  }
  const reused = await step("a", 2);
  assert.equal(reused.code, "key_reused");
  assert.match(reused.detail, /the Idempotency-Key "step-1" was used/);
});

Deno.test("tokens do not meet each other's keys of changes, which would answer them with what they cannot have made", async () => {
  const service = await startRounds({ mode: "immediate" });
  const headers = { "Idempotency-Key": "set-1" };
  const set = async (name: string) => {
    const body = { variables: { w: 5 } };
    const response = await service.sendAs(name)("PUT", `${RUN}/variables`, { body, headers });
    await response.body?.cancel();
    return [response.status, response.headers.get("ETag"), response.headers.get("Idempotency-Replayed")];
  };
  const first = await set("writer"), other = await set("root");
  assert.deepEqual([first[0], first[2], other[0], other[2]], [200, null, 200, null]);
  assert.notEqual(other[1], first[1]);
  assert.deepEqual(await set("writer"), [200, first[1], "true"]);
  assert.deepEqual(await set("root"), [200, other[1], "true"]);
});

Deno.test("a key is kept for the name of a token and the client that it is bound to, not for the token itself", async () => {
  const service = await startRounds({ mode: "immediate" });
  const headers = { "Idempotency-Key": "step-1" };
  const send = (name: string) =>
    service.sendAs(name)("POST", STEP, { body: { gradients: { w: 1 } }, headers });
  assert.equal((await (await send("a")).json()).iterations, 1);
  const replace = (change: object) =>
    service.tokens.replace([entryOf("root"), { ...bound("new"), name: "a", ...change }]);
  replace({ client_id: "client-a" });
  assert.equal((await send("new")).headers.get("Idempotency-Replayed"), "true");
  replace({ client_id: "client-c" });
  await assertProblem(await send("new"), "key_reused", 422);
});

Deno.test("a token's keys, and those of STEPWELL_TOKEN, outlive a crash and stay its own", async () => {
  await using world = await newWorld();
  const serve = () => ({ registry: world.registry, wallClock: () => new Date(world.now) });
  const headers = { "Idempotency-Key": "k" };
  const body = { gradients: { w: 1 } };
  const own = { ...headers, Authorization: "Bearer short" };
  let service = await startRounds({ mode: "immediate" }, serve());
  const again = () => startWithTokens(ENTRIES, { STEPWELL_TOKEN: "short" }, serve());
  service = again();
  const step = async (name: string, more: Readonly<Record<string, string>> = headers) => {
    const response = await service.sendAs(name)("POST", STEP, { body, headers: more });
    return [(await response.json()).iterations, response.headers.get("Idempotency-Replayed")];
  };
  const create = async (name: string) => {
    const run = { optimizer: "SGD", variables: [{ name: "w", shape: [] }] };
    const response = await service.sendAs(name)("POST", "/v1/runs", { body: run, headers });
    return [(await response.json()).id, response.headers.get("Idempotency-Replayed")];
  };
  assert.deepEqual([await step("a"), await step("b"), await step("", own)], [[1, null], [2, null], [
    3,
    null,
  ]]);
  const [first] = await create("writer"), [other] = await create("root");
  assert.notEqual(first, other);
  await world.restart();
  service = again();
  assert.deepEqual([await step("a"), await step("b"), await step("", own)], [[1, "true"], [2, "true"], [
    3,
    "true",
  ]]);
  assert.deepEqual([await create("writer"), await create("root")], [[first, "true"], [other, "true"]]);
});

Deno.test("a creation is not replayed for another token", async () => {
  const runs = { scopes: ["write" as const], runs: ["*"] };
  const service = startWithTokens([entryOf("x", runs), entryOf("y", runs)]);
  const body = { optimizer: "SGD", variables: [{ name: "w", shape: [] }] };
  const create = async (name: string) => {
    const response = await service.sendAs(name)("POST", "/v1/runs", {
      body,
      headers: { "Idempotency-Key": "k" },
    });
    assert.equal(response.status, 201);
    return (await response.json()).id;
  };
  const [first, again, other] = [await create("x"), await create("x"), await create("y")];
  assert.equal(again, first);
  assert.notEqual(other, first);
});

Deno.test("a revoked token's streams end, and its waits; others go on", async () => {
  const service = await startRounds();
  const entries = [entryOf("root"), ...ENTRIES];
  const open = async (name: string) => new EventReader(await service.sendAs(name)("GET", `${RUN}/events`));
  const [revoked, changed, kept] = [await open("a"), await open("b"), await open("free")];
  for (const reader of [revoked, changed, kept]) await reader.event();
  const wait = service.sendAs("a")("POST", STEP, {
    body: { gradients: { w: 1 } },
    headers: { Prefer: "wait=60" },
  });
  const values = service.sendAs("a")("GET", `${RUN}/variables?after_iteration=0`, {
    headers: { Prefer: "wait=60" },
  });
  const other = service.sendAs("free")("GET", `${RUN}/variables?after_iteration=0`, {
    headers: { Prefer: "wait=60" },
  });
  for (const reader of [revoked, changed, kept]) {
    assert.deepEqual(await reader.types(1), ["contribution_accepted"]);
  }
  assert.equal(await isSettled(values), false);

  service.tokens.replace(
    entries.filter(({ name }) => name !== "a").map((entry) =>
      entry.name === "b" ? { ...entry, scopes: ["read" as const] } : entry
    ),
  );
  assert.equal((await wait).status, 202, "what was accepted stays accepted");
  assert.equal((await values).status, 304);
  assert.equal(await revoked.block(), undefined);
  assert.equal(await changed.block(), undefined);
  assert.equal(await isSettled(other), false);
  assert.deepEqual([service.streams.open, service.waits.open], [1, 1]);
  await assertProblem(await service.sendAs("a")("GET", `${RUN}/events`), "unauthorized", 401);

  const step = await service.send("POST", `${STEP}?aggregate=false`, { body: { gradients: { w: 1 } } });
  assert.equal(step.status, 200);
  assert.equal((await other).status, 200);
  await kept.cancel();
  assert.deepEqual([service.streams.open, service.waits.open], [0, 0]);
});
