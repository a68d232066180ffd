/** Every operation with every scope, inside and outside of the token's runs. The operations are those of the document. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { openapi31 } from "../../../routes/contract/openapi.ts";
import { SCOPES } from "../../../routes/http/token_file.ts";
import { assertProblem, startRun, startService, stateOf } from "../support/harness.ts";
import { entryOf, startWithTokens } from "../support/tokens.ts";

interface Operation {
  readonly "x-required-scope": string;
  readonly security?: readonly unknown[];
}

interface Place {
  readonly method: string;
  readonly path: string;
  readonly scope: string;
  readonly operation: Operation;
}

const { paths } = openapi31(startService().app) as unknown as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};
const PLACES: readonly Place[] = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    method: method.toUpperCase(),
    path,
    scope: operation["x-required-scope"],
    operation,
  }))
);

const NAMES: Readonly<Record<string, string>> = { slot: "m", class_name: "Nope", client_id: "phone" };
const pathOf = ({ path }: Place, run: string) =>
  path.replaceAll(/\{(\w+)\}/g, (_, name) => name === "run" ? run : NAMES[name] ?? assert.fail(name));
const isOfRun = ({ path }: Place) => path.includes("{run}");

/** Runs that there are, in and out of the tokens' globs. */
const INSIDE = "in-1", OUTSIDE = "out-1";

function startScopes() {
  return startWithTokens(
    // The client is that of the paths: its contributions are the token's own.
    SCOPES.map((scope) => entryOf(scope, { scopes: [scope], runs: ["in-*"], client_id: NAMES["client_id"] })),
  );
}

Deno.test("every operation says which scope it needs, and none only where it needs no token", () => {
  for (const { method, path, scope, operation } of PLACES) {
    const where = `${method} ${path}`;
    assert.ok(["none", ...SCOPES].includes(scope), where);
    assert.equal(scope === "none", operation.security?.length === 0, where);
    // Their token has no run, so that nothing would tell which runs it may use.
    if (isOfRun({ method, path, scope, operation })) assert.match(path, /^\/v1\/runs\/\{run\}(\/|$)/);
  }
  assert.deepEqual(
    [...new Set(PLACES.map(({ scope }) => scope))].sort(),
    ["admin", "contribute", "none", "read", "write"],
  );
});

Deno.test("what changes a run, or all of them, needs more than the scope read", () => {
  const reading = PLACES.filter(({ scope }) => scope === "read").map(({ method, path }) =>
    `${method} ${path}`
  );
  const strange = reading.filter((each) => !each.startsWith("GET "));
  assert.deepEqual(strange, ["POST /v1/runs/{run}/variables/gather"]);
});

Deno.test("every operation takes the scopes from its own on, and refuses the lower ones by name", async () => {
  const service = startScopes();
  await startRun(service, INSIDE);
  const before = await stateOf(service, INSIDE);
  for (const place of PLACES) {
    for (const scope of SCOPES) {
      const send = service.sendAs(scope), where = `${place.method} ${place.path} ${scope}`;
      const isEnough = place.scope === "none" ||
        SCOPES.indexOf(scope) >= SCOPES.findIndex((each) => each === place.scope);
      if (!isEnough) {
        const response = await send(place.method, pathOf(place, INSIDE));
        assert.equal(
          response.headers.get("WWW-Authenticate"),
          `Bearer error="insufficient_scope", scope="${place.scope}"`,
        );
        const { detail } = await assertProblem(response, "forbidden", 403);
        assert.ok(detail.includes(`with the token "${scope}"`), detail);
        assert.ok(detail.includes(`its scope is ${scope}, must be ${place.scope}`), detail);
      }
      // Of a run that there is not, so that nothing is deleted.
      const response = await send(place.method, pathOf(place, "in-2"));
      assert.equal(response.status === 403, !isEnough, where);
      assert.notEqual(response.status, 401, where);
      await response.body?.cancel();
    }
  }
  assert.equal(await stateOf(service, INSIDE), before);
});

Deno.test("every operation refuses runs outside of the token's, and no answer tells whether there is one", async () => {
  const service = startScopes();
  await startRun(service, OUTSIDE);
  const before = await stateOf(service, OUTSIDE);
  const places = PLACES.filter(isOfRun);
  assert.ok(places.length >= 20);
  for (const place of places) {
    for (const scope of SCOPES) {
      const send = service.sendAs(scope);
      const details = [];
      for (const run of [OUTSIDE, "out-2"]) {
        for (const headers of [{}, { "If-Match": "malformed", "Idempotency-Key": "k" }]) {
          const response = await send(place.method, `${pathOf(place, run)}?surprise=1`, { headers });
          const { detail, issues } = await assertProblem(response, "forbidden", 403);
          assert.deepEqual(issues, []);
          details.push(detail.replace(run, ""));
        }
      }
      assert.equal(new Set(details).size, 1, details.join("\n"));
      assert.match(details[0] ?? "", /its runs, "in-\*"/);
    }
  }
  assert.equal(await stateOf(service, OUTSIDE), before);
});

Deno.test("a run outside of the token's is not reached by another spelling of its path", async () => {
  const service = startScopes();
  await startRun(service, OUTSIDE);
  await startRun(service, INSIDE);
  const send = service.sendAs("admin");
  for (
    const path of [
      "/v1/runs/%6fut-1",
      "/v1/runs/%256fut-1",
      "/v1/runs/out-1/",
      "/v1//runs/out-1",
      "/v1/runs//out-1",
      "/v1/runs/in-1/../out-1",
      "/v1/runs/in-1%2F..%2Fout-1",
      "/v1/runs/in-1/%2e%2e/out-1/variables",
      "/v1/runs/in-1\\..\\out-1",
      "/v1/runs/out-1%00",
      "/v1/runs/OUT-1",
      "/v1/runs/out-1;in-1",
      "/v1/runs/in-%2A",
      "/V1/runs/out-1",
    ]
  ) {
    const response = await send("GET", path);
    assert.ok([403, 404, 422].includes(response.status), `${path} ${response.status}`);
    assert.doesNotMatch(await response.text(), /iterations/, path);
  }
  assert.equal((await send("GET", "/v1/runs/%69n-1")).status, 200);
});

Deno.test("an operation answers nobody without a token, and the open ones everybody", async () => {
  const service = startScopes();
  for (const place of PLACES) {
    const response = await service.send(place.method, pathOf(place, INSIDE), {
      headers: { Authorization: "" },
    });
    assert.equal(response.status === 401, place.scope !== "none", `${place.method} ${place.path}`);
    await response.body?.cancel();
  }
});

Deno.test("list_runs gives the token's runs only, page by page", async () => {
  const service = startScopes();
  const ids = ["in-1", "out-1", "in-2", "out-2", "out-3", "in-3"];
  for (const id of ids) await startRun(service, id);
  const send = service.sendAs("read");
  const pages: string[][] = [];
  let cursor = "";
  do {
    const page = await (await send("GET", `/v1/runs?limit=2${cursor}`)).json();
    pages.push(page.runs.map(({ id }: { id: string }) => id));
    cursor = page.next_cursor === undefined ? "" : `&cursor=${page.next_cursor}`;
  } while (cursor !== "");
  assert.deepEqual(pages, [["in-1", "in-2"], ["in-3"]]);
  const all = await (await service.send("GET", "/v1/runs")).json();
  assert.deepEqual(all.runs.map(({ id }: { id: string }) => id), ids);
});

Deno.test("list, description and creation agree on the runs of a token, whatever its globs", async () => {
  const service = startWithTokens();
  const letters = (unit: string, maxLength: number) =>
    fc.string({ unit: fc.constantFrom(...unit), minLength: 1, maxLength });
  const ids = ["a", "b", "ab", "ba", "a-b", "aab", "b.a", "abab"];
  for (const id of ids) await startRun(service, id);
  let seen = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(letters("ab*?-.", 4), { maxLength: 3 }), async (runs) => {
      service.tokens.replace([entryOf("root"), entryOf("some", { scopes: ["write"], runs })]);
      const send = service.sendAs("some");
      const { runs: listed } = await (await send("GET", "/v1/runs")).json();
      for (const id of ids) {
        const isListed = listed.some((run: { id: string }) => run.id === id);
        const described = await send("GET", `/v1/runs/${id}`);
        const created = await send("POST", "/v1/runs", {
          body: { optimizer: "SGD", variables: [{ name: "w", shape: [] }], id },
        });
        assert.equal(described.status, isListed ? 200 : 403, `${runs} ${id}`);
        assert.equal(created.status, isListed ? 409 : 403, `${runs} ${id}`);
        for (const { body } of [described, created]) await body?.cancel();
      }
      seen += listed.length;
    }),
    { numRuns: 60 },
  );
  assert.ok(seen > 20, `${seen} runs were listed`);
});

Deno.test("create_run makes runs of the token only, and one without an id only for those who have all", async () => {
  const service = startWithTokens([
    entryOf("some", { scopes: ["write"], runs: ["in-*"] }),
    entryOf("all", { scopes: ["write"], runs: ["in-*", "*"] }),
  ]);
  const body = { optimizer: "SGD", variables: [{ name: "w", shape: [2] }] };
  const some = service.sendAs("some");
  const without = await assertProblem(await some("POST", "/v1/runs", { body }), "forbidden", 403);
  assert.match(without.detail, /must have an id that is one of "in-\*"$/);
  await startRun(service, OUTSIDE);
  for (const id of [OUTSIDE, "out-2"]) {
    const { detail } = await assertProblem(
      await some("POST", "/v1/runs", { body: { ...body, id } }),
      "forbidden",
      403,
    );
    assert.match(detail, new RegExp(`the run "${id}" with the token "some"`));
  }
  assert.equal((await some("POST", "/v1/runs", { body: { ...body, id: "in-1" } })).status, 201);
  assert.equal((await service.sendAs("all")("POST", "/v1/runs", { body })).status, 201);
  assert.equal(service.registry.figures().runs, 3);
});

Deno.test("the log has the name of the token with every answer, also with a refusal, and never the token", async () => {
  const service = startScopes();
  const answers = [
    await service.sendAs("read")("GET", "/v1/runs"),
    await service.sendAs("read")("DELETE", "/v1/runs/in-1"),
    await service.sendAs("read")("GET", "/v1/runs/out-1"),
    await service.sendAs("nobody")("GET", "/v1/runs"),
    await service.send("GET", "/healthz"),
  ];
  assert.deepEqual(answers.map(({ status }) => status), [200, 403, 403, 401, 200]);
  assert.deepEqual(service.lines.map(({ token }) => token), ["read", "read", "read", undefined, undefined]);
  assert.doesNotMatch(JSON.stringify(service.lines), /token-of-/);
});
