/** The service with a remote database over KV Connect, and with a server there that is no database. */
import assert from "node:assert/strict";
import { GRADIENTS, SPEC } from "./routes/support/harness.ts";
import { spawn, startProcess } from "./support/service.ts";
import { serve, serveKv, serveNonsense, TOKEN, WRONG } from "./store/support/kv_connect.ts";
import { within } from "./support/waiting.ts";

const json = (url: string, body: unknown) =>
  fetch(url, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

async function withData(act: (data: string) => Promise<void>): Promise<void> {
  const data = await Deno.makeTempDir();
  try {
    await act(data);
  } finally {
    await Deno.remove(data, { recursive: true });
  }
}

Deno.test("runs outlive the service with their records in a remote database", () =>
  withData(async (data) => {
    await using kv = serveKv();
    const env = { STEPWELL_DATA: data, STEPWELL_KV: kv.url, DENO_KV_ACCESS_TOKEN: TOKEN };
    const states: unknown[] = [];
    for (const life of [0, 1]) {
      await using service = await startProcess(env);
      if (life === 0) {
        for (const id of ["one", "two"]) {
          const created = await json(`${service.url}/v1/runs`, { ...SPEC, id });
          assert.equal(created.status, 201, await created.text());
        }
        assert.equal((await fetch(`${service.url}/v1/runs/two`, { method: "DELETE" })).status, 204);
        const stepped = await json(`${service.url}/v1/runs/one/gradients`, { gradients: GRADIENTS });
        assert.equal(stepped.status, 200, await stepped.text());
      }
      const { runs } = await (await fetch(`${service.url}/v1/runs`)).json();
      assert.deepEqual(runs.map(({ id }: { id: string }) => id), ["one"]);
      states.push(await (await fetch(`${service.url}/v1/runs/one/weights`)).json());
      const { code, errors } = await service.stop();
      assert.equal(code, 0, errors);
    }
    assert.deepEqual(states[0], states[1]);
    assert.ok(kv.asked.includes("/data/atomic_write"));
    assert.ok(
      ![...Deno.readDirSync(data)].some(({ name }) => name.startsWith("kv")),
      "no database of its own",
    );
  }));

const WITH_TOKEN = { DENO_KV_ACCESS_TOKEN: TOKEN };

const TOO_LATE = /it has not answered within 5 s\n$/;

/** Runs the service until it ends. On a slow machine an answer may be late; then it is started again. */
async function start(
  env: Readonly<Record<string, string>>,
  isLate: boolean,
  tries = 10,
): Promise<{ code: number; stdout: Uint8Array; errors: string }> {
  const { code, stdout, stderr } = await within("The service did not end", spawn(env).output());
  // Deno itself logs each call that it retries.
  const errors = new TextDecoder().decode(stderr).replaceAll(/^KV Connect failed to call .*\n/gm, "");
  if (tries > 1 && TOO_LATE.test(errors) && !isLate) return start(env, isLate, tries - 1);
  return { code, stdout, errors };
}

async function refusesToStart(data: string, url: string, pattern: RegExp, env = {}): Promise<void> {
  const settings = { STEPWELL_DATA: data, STEPWELL_KV: url, ...env };
  const { code, stdout, errors } = await start(settings, pattern === TOO_LATE);
  assert.equal(code, 1, errors);
  assert.equal(stdout.length, 0);
  assert.equal(errors.trimEnd().split("\n").length, 1, errors);
  assert.ok(errors.startsWith(`stepwell: Cannot use the data folder ${data}: its database ${url}: `), errors);
  assert.match(errors, pattern);
}

const SAYS: Readonly<Record<keyof typeof WRONG, RegExp>> = {
  "an error": /responded with status 500 .*: it is broken\n$/,
  "no such page": /responded with status 404/,
  "a page": /not a valid KV Connect endpoint/,
  "other JSON": /not a valid KV Connect endpoint/,
  nothing: TOO_LATE,
};

for (const [what, answer] of Object.entries(WRONG)) {
  Deno.test(`main refuses a database that answers ${what} with one line`, () =>
    withData(async (data) => {
      await using kv = serve(answer);
      await refusesToStart(data, kv.url, SAYS[what] as RegExp, WITH_TOKEN);
      assert.ok(kv.asked.length > 0);
    }));
}

Deno.test("main refuses a database that answers nonsense, rejects its token, or does not exist", () =>
  withData(async (data) => {
    await using nonsense = serveNonsense();
    await refusesToStart(data, nonsense.url, TOO_LATE, WITH_TOKEN);
    assert.ok(nonsense.asked.includes("/data/snapshot_read"));
    await using kv = serveKv();
    await refusesToStart(data, kv.url, /responded with status 401/, { DENO_KV_ACCESS_TOKEN: "another" });
    await refusesToStart(data, kv.url, /Missing DENO_KV_ACCESS_TOKEN/);
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    await refusesToStart(data, `http://127.0.0.1:${port}`, /failed to connect/, WITH_TOKEN);
  }));
