/** Access: tokens, unknown runs, unknown paths, bodies beyond their bound. */
import assert from "node:assert/strict";
import {
  assertProblem,
  FILE_TYPE,
  JSON_TYPE,
  rawFile,
  SPEC,
  startRun,
  startService,
  stateOf,
} from "../support/harness.ts";
import { TARGETS } from "../support/rejection_targets.ts";

/** Every operation on a run, with a valid body. */
const ON_A_RUN: readonly (readonly [method: string, path: string, body?: unknown])[] = [
  ["GET", ""],
  ["DELETE", ""],
  ["GET", "/variables"],
  ["GET", "/slots"],
  ["GET", "/slots/m"],
  ["GET", "/weights"],
  ["GET", "/optimizer"],
  ["GET", "/steps"],
  ["GET", "/checkpoint"],
  ...Object.values(TARGETS).filter(({ good }) => good).map(({ method, path, good }) =>
    [method, path.replace("/v1/runs/demo", ""), good] as const
  ),
];

Deno.test("every operation on a run refuses an unknown run, and an invalid id", async () => {
  const { send } = startService();
  for (const [method, path, body] of ON_A_RUN) {
    await assertProblem(await send(method, `/v1/runs/nope${path}`, { body }), "unknown_run", 404);
    const problem = await assertProblem(
      await send(method, `/v1/runs/a%20b${path}`, { body }),
      "invalid_request",
      422,
    );
    assert.equal(problem.issues[0]?.path, "path.run");
  }
});

Deno.test("every operation but the open ones refuses a missing, malformed or wrong token and changes nothing", async () => {
  const service = startService({ STEPWELL_TOKEN: "secret-token" });
  const authorized = { ...service, send: withToken(service.send) };
  await startRun(authorized);
  const before = await stateOf(authorized);
  const all = [
    ...ON_A_RUN.map(([method, path, body]) => [method, `/v1/runs/demo${path}`, body] as const),
    [
      "POST",
      "/v1/runs",
      SPEC,
    ],
    ["GET", "/v1/runs"],
    ["GET", "/v1/catalog"],
    ["GET", "/metrics"],
    ["GET", "/nope"],
    ["PUT", "/v1/runs/demo/checkpoint", rawFile("{}", [])],
  ] as const;
  for (const [method, path, body] of all) {
    for (const token of [undefined, "Bearer secret-tokem", "Bearer secret-token2", "bearer SECRET-TOKEN"]) {
      const response = await service.send(method, path, {
        body,
        headers: token === undefined ? {} : { Authorization: token },
      });
      assert.match(response.headers.get("WWW-Authenticate") ?? "", /^Bearer/);
      const { detail } = await assertProblem(response, "unauthorized", 401);
      assert.doesNotMatch(detail, /secret/i);
    }
    const malformed = await service.send(method, path, {
      body,
      headers: { Authorization: "Basic c2VjcmV0" },
    });
    await assertProblem(malformed, "malformed_header", 400);
  }
  assert.equal(await stateOf(authorized), before);
  for (const path of ["/healthz", "/readyz", "/openapi.json", "/docs"]) {
    assert.equal((await service.send("GET", path)).status, 200, path);
  }
  assert.doesNotMatch(JSON.stringify(service.lines), /secret-token/i);
});

function withToken(send: ReturnType<typeof startService>["send"]): typeof send {
  return (method, path, options = {}) =>
    send(method, path, { ...options, headers: { ...options.headers, Authorization: "Bearer secret-token" } });
}

Deno.test("a body larger than the run accepts is refused by its length, or without one while it is read", async () => {
  const service = startService({ STEPWELL_JSON_BYTES_MAX: 1024, STEPWELL_BODY_BYTES_MAX: 2048 });
  await startRun(service);
  const before = await stateOf(service);
  const json = JSON.stringify({ gradients: { bias: [1, 2, 3] } }) + " ".repeat(1024);
  const large = new Uint8Array(4096);
  for (
    const [path, body] of [["gradients", json], ["gradients", large], ["variables/gather", json]] as const
  ) {
    const headers = { "Content-Length": String(body.length) };
    await assertProblem(
      await service.send("POST", `/v1/runs/demo/${path}`, { body, headers }),
      "body_too_large",
      413,
    );
    const stream = new Blob([body]).stream();
    const type = { "Content-Type": typeof body === "string" ? JSON_TYPE : FILE_TYPE };
    const response = await service.send("POST", `/v1/runs/demo/${path}`, { body: stream, headers: type });
    // A file of zeros is not safetensors either, and that is found first.
    assert.ok([400, 413].includes(response.status), await response.text());
  }
  const zipped = new Blob([json]).stream().pipeThrough(new CompressionStream("gzip"));
  const headers = { "Content-Encoding": "gzip" };
  await assertProblem(
    await service.send("POST", "/v1/runs/demo/gradients", { body: zipped, headers }),
    "body_too_large",
    413,
  );
  assert.equal(await stateOf(service), before);
});

Deno.test("unknown paths are 404, unknown methods 405 with Allow", async () => {
  const { send } = startService();
  for (const path of ["/", "/v1", "/v1/runs/", "/v1/runs/a/nope", "/v2/runs", "/docs/../secret"]) {
    await assertProblem(await send("GET", path), "unknown_route", 404);
  }
  const response = await send("DELETE", "/v1/runs");
  assert.deepEqual(response.headers.get("Allow")?.split(", ").sort(), ["GET", "HEAD", "POST"]);
  await assertProblem(response, "method_not_allowed", 405);
  await assertProblem(await send("PATCH", "/v1/runs/demo/variables"), "method_not_allowed", 405);
});
