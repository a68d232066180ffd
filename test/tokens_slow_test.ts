/** A service with a file of tokens, as a process with the permissions of the task `start`, over real HTTP. */
import assert from "node:assert/strict";
import type { TokenEntry } from "../routes/http/token_file.ts";
import { asToken, entryOf } from "./routes/support/tokens.ts";
import { spawn, startCommand, startProcess } from "./support/service.ts";
import { until, within } from "./support/waiting.ts";

const SPEC = { id: "fl-1", optimizer: "SGD", variables: [{ name: "w", shape: [] }] };

/** A folder with a file of tokens that is replaced as a whole, as deployments do. */
async function tokenFile(entries: readonly TokenEntry[]) {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/tokens.json`;
  const write = async (text: string) => {
    await Deno.writeTextFile(`${path}.new`, text);
    await Deno.rename(`${path}.new`, path);
  };
  await write(JSON.stringify(entries));
  return {
    path,
    write,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

function caller(url: string) {
  return async (name: string, method: string, path: string, body?: unknown) => {
    const headers = { ...name === "" ? {} : asToken(name), "Content-Type": "application/json" };
    const response = await fetch(`${url}${path}`, {
      method,
      headers,
      ...body !== undefined && { body: JSON.stringify(body) },
    });
    return { status: response.status, answer: await response.json().catch(() => undefined) };
  };
}

Deno.test("the command of the service may read the file of tokens and not write it", () => {
  const allowed = startCommand("data", "", ["/etc/stepwell/tokens.json"]).filter((each) =>
    each.startsWith("--allow-read") || each.startsWith("--allow-write")
  );
  assert.deepEqual(allowed, ["--allow-read=src,data,/etc/stepwell/tokens.json", "--allow-write=data"]);
});

Deno.test("a service takes its tokens from the file, follows its changes, and ends what a revoked token has open", async () => {
  const site = entryOf("site", { scopes: ["contribute"], runs: ["fl-*"], client_id: "site" });
  await using file = await tokenFile([entryOf("root"), site]);
  // Beyond loopback, which a file of tokens is enough for.
  await using service = await startProcess({ STEPWELL_TOKENS: file.path, STEPWELL_HOST: "0.0.0.0" });
  const call = caller(`http://127.0.0.1:${service.port}`);
  assert.equal((await call("", "GET", "/v1/runs")).status, 401);
  assert.equal((await call("", "GET", "/healthz")).status, 200);
  assert.equal((await call("site", "POST", "/v1/runs", SPEC)).status, 403);
  assert.equal((await call("root", "POST", "/v1/runs", SPEC)).status, 201);
  const step = await call("site", "POST", "/v1/runs/fl-1/gradients", { gradients: { w: 1 } });
  assert.deepEqual([step.status, step.answer.applied], [200, true]);
  assert.equal((await call("site", "GET", "/v1/runs/other")).answer.code, "forbidden");
  const stream = await fetch(`http://127.0.0.1:${service.port}/v1/runs/fl-1/events`, {
    headers: asToken("site"),
  });
  assert.equal(stream.status, 200);
  const ended = stream.text();

  await file.write(JSON.stringify([entryOf("root"), entryOf("late", { scopes: ["read"] })]));
  assert.match(await within("The stream did not end", ended), /^event: state$/m);
  assert.equal((await call("site", "GET", "/v1/runs/fl-1")).status, 401);
  assert.equal((await call("late", "GET", "/v1/runs/fl-1")).status, 200);

  await file.write(JSON.stringify([entryOf("root")]));
  await until(async () => (await call("late", "GET", "/v1/runs/fl-1")).status === 401);
  assert.equal((await call("root", "GET", "/v1/runs")).status, 200);
  const { errors } = await service.stop();
  const lines = errors.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual([...new Set(lines.filter(({ status }) => status === 200).map(({ token }) => token))], [
    undefined,
    "site",
    "late",
    "root",
  ]);
  const notices = lines.flatMap(({ notice }) => notice ?? []);
  assert.ok(notices.some((notice) => /read again: 2 tokens, revoked or changed: site$/.test(notice)), errors);
  assert.ok(notices.some((notice) => /read again: 1 tokens, revoked or changed: late$/.test(notice)), errors);
  assert.doesNotMatch(errors, /token-of-/);
});

Deno.test("a service with a file of tokens that cannot be used does not start, and says where", async () => {
  await using file = await tokenFile([]);
  const cases = [
    ['[{"sha256": token-of-mine}]', /it is not JSON: at line 1, column 13$/],
    [JSON.stringify([entryOf("a"), entryOf("b", { runs: ["a b"] })]), /: \[1\]\.runs\[0\]: must be 1 to 128/],
    [JSON.stringify([entryOf("default")]), /: \[0\]\.name: must not be default/],
  ] as const;
  const refuses = async (path: string, pattern: RegExp) => {
    const { code, stderr } = await within(
      "The service did not end",
      spawn({ STEPWELL_TOKENS: path }).output(),
    );
    const errors = new TextDecoder().decode(stderr).trimEnd();
    assert.equal(code, 1, errors);
    assert.equal(errors.split("\n").length, 1, errors);
    assert.ok(errors.startsWith(`stepwell: Cannot use STEPWELL_TOKENS=${JSON.stringify(path)}: `), errors);
    assert.match(errors, pattern);
    assert.doesNotMatch(errors, /token-of-/);
  };
  for (const [text, pattern] of cases) {
    await file.write(text);
    await refuses(file.path, pattern);
  }
  await refuses(`${file.path}.none`, /No such file/);
});

Deno.test("a service that limits requests tells so, and answers again after the pause that it names", async () => {
  await using service = await startProcess({ STEPWELL_REQUESTS_PER_SECOND: "1" });
  const answers = await Promise.all(Array.from({ length: 40 }, () => fetch(`${service.url}/v1/runs`)));
  const refused = answers.filter(({ status }) => status === 429);
  assert.ok(refused.length > 0 && refused.length <= 30, `${refused.length} of 40`);
  for (const { headers } of refused) {
    assert.equal(headers.get("RateLimit"), '"requests";r=0;t=1');
    assert.equal(headers.get("Retry-After"), "1");
  }
  for (const answer of answers) await answer.body?.cancel();
  await until(async () => {
    const response = await fetch(`${service.url}/v1/runs`);
    await response.body?.cancel();
    return response.status === 200;
  });
});
