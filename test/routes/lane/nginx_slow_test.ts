/** The service behind nginx: what a proxy makes of requests, the service reads in the same way. Skipped without nginx. */
import assert from "node:assert/strict";
import { type RunningService, startProcess } from "../../support/service.ts";
import { until, within } from "../../support/waiting.ts";
import { f32, file, FILE_TYPE, JSON_TYPE } from "../support/harness.ts";
import { Client } from "./support/lane.ts";

async function hasNginx(): Promise<boolean> {
  try {
    return (await new Deno.Command("nginx", { args: ["-v"], stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}
const isHere = await hasNginx();
if (!isHere) console.log("SKIPPED: nginx is not here");

interface Proxy extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
}

/** `buffered`: whether nginx takes the whole of a body before it asks the service. */
async function startNginx({ port }: RunningService, buffered: "on" | "off"): Promise<Proxy> {
  const folder = await Deno.makeTempDir();
  const own = freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) =>
    `${name}_temp_path ${folder}/${name};`
  );
  await Deno.writeTextFile(
    `${folder}/nginx.conf`,
    `${Deno.uid() === 0 ? "user root;" : ""}
daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log warn;
events { worker_connections 512; }
http {
  access_log off; client_max_body_size 0; ${temporary.join(" ")}
  upstream stepwell { server 127.0.0.1:${port}; keepalive 16; }
  server {
    listen 127.0.0.1:${own};
    location / {
      proxy_pass http://stepwell; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host localhost; proxy_buffering off; proxy_request_buffering ${buffered};
    }
  }
}
`,
  );
  const process = new Deno.Command("nginx", {
    args: ["-c", `${folder}/nginx.conf`, "-p", folder, "-e", `${folder}/error.log`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const url = `http://127.0.0.1:${own}`;
  await until(async () => {
    try {
      return (await (await fetch(`${url}/healthz`)).text()) !== "";
    } catch {
      return false;
    }
  });
  return {
    url,
    port: own,
    [Symbol.asyncDispose]: async () => {
      process.kill("SIGTERM");
      await within("nginx did not end", process.status);
      await Deno.remove(folder, { recursive: true });
    },
  };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

const RUN = "/v1/runs/demo", SIZE = 1_000_000;
const GRADIENT = file({ w: f32([SIZE], new Float32Array(SIZE).fill(0.5)) });

for (const buffered of ["on", "off"] as const) {
  Deno.test({
    name: `behind nginx everything is as without it (request buffering ${buffered})`,
    ignore: !isHere,
    fn: async () => {
      await using service = await startProcess({ STEPWELL_LOG: "errors" });
      await using proxy = await startNginx(service, buffered);
      const ask = async (method: string, path: string, init: RequestInit = {}) => {
        const response = await fetch(proxy.url + path, { method, ...init });
        return { status: response.status, headers: response.headers, bytes: await response.bytes() };
      };
      const headers = { "Content-Type": JSON_TYPE }, files = { "Content-Type": FILE_TYPE };
      const spec = { id: "demo", optimizer: "SGD", variables: [{ name: "w", shape: [SIZE] }] };
      const created = await ask("POST", "/v1/runs", { headers, body: JSON.stringify(spec) });
      assert.equal(created.status, 201);
      const steps = Array.from({ length: 10 }, (_, at) =>
        ask("POST", `${RUN}/gradients`, {
          headers: files,
          // Every other one in chunks.
          body: at % 2 === 0 ? GRADIENT : new Blob([GRADIENT]).stream(),
        }));
      assert.deepEqual((await Promise.all(steps)).map(({ status }) => status), Array(10).fill(200));
      const accept = { Accept: FILE_TYPE };
      const [through, direct] = [
        await ask("GET", `${RUN}/variables`, { headers: accept }),
        await (await fetch(`${service.url}${RUN}/variables`, { headers: accept })).bytes(),
      ];
      assert.equal(through.headers.get("ETag"), '"v10"');
      assert.ok(through.bytes.toBase64() === direct.toBase64());
      const known = await ask("GET", `${RUN}/variables`, {
        headers: { ...accept, "If-None-Match": '"v10"' },
      });
      assert.equal(known.status, 304);
      assert.deepEqual([(await ask("HEAD", RUN)).status, (await ask("GET", "/v1/runs/no")).status], [
        200,
        404,
      ]);
      // Refused before the body has come.
      for (const body of [GRADIENT.subarray(0, 3_000_000), new Uint8Array(9_000_000)]) {
        const refused = await ask("POST", `${RUN}/gradients`, { headers: files, body });
        assert.ok([400, 413].includes(refused.status), String(refused.status));
      }
      assert.equal((await ask("GET", "/healthz")).status, 200);
      await events(proxy, ask);
      await smuggling(proxy);
      const { code, errors } = await service.stop();
      assert.equal(code, 0, errors);
      assert.doesNotMatch(errors, /"level":"error"|error:/, errors);
    },
  });
}

type Ask = (method: string, path: string, init?: RequestInit) => Promise<{ readonly status: number }>;

async function events({ url }: Proxy, ask: Ask): Promise<void> {
  const response = await fetch(`${url}${RUN}/events`);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const comes = async (pattern: RegExp) => {
    while (!pattern.test(text)) {
      const { value, done } = await within(`No ${pattern} came`, reader.read());
      assert.ok(!done);
      text += value;
    }
  };
  await comes(/event: state/);
  await ask("POST", `${RUN}/gradients`, { headers: { "Content-Type": FILE_TYPE }, body: GRADIENT });
  await comes(/event: step_applied/);
  await reader.cancel();
}

/** Whatever nginx makes of them, the service never answers to the second request within the first. */
async function smuggling({ port }: Proxy): Promise<void> {
  const inner = "GET /healthz?smuggled=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (
    const fields of [
      "Content-Length: 4\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: xchunked",
      "Transfer-Encoding : chunked",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
      "Transfer-Encoding:\x0bchunked",
    ]
  ) {
    using client = await Client.connect(port);
    await client.send(`POST ${RUN} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n\r\n0\r\n\r\n${inner}`);
    await client.closeWrite();
    assert.doesNotMatch(await client.rest(), /"status":"ok"/, fields);
  }
}
