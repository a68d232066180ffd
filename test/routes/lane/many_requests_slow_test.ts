/**
 * Many requests of all kinds, on connections that stay, end and break off: the process grows neither in memory nor in
 * descriptors. `deno task test:requests [--requests=N]` sends a million; the default fits a test run.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { parseArgs } from "node:util";
import { type RunningService, startProcess } from "../../support/service.ts";
import { until, within } from "../../support/waiting.ts";
import { f32, file, FILE_TYPE } from "../support/harness.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: { requests: { type: "string", default: "20000" } },
  allowPositionals: true,
});
const requests = Number(options.requests);

const CONNECTIONS = 16, PIPELINED = 25;
/** A connection ends after so many bursts. */
const BURSTS = 40;
/** Beyond this the service would be leaking: V8 and the allocator keep some memory that they have used. */
const GROWTH_BYTES_MAX = 96 << 20;

const RUN = "/v1/runs/demo";
const STEP = file({ w: f32([4], [1, 2, 3, 4]) });

function request(
  method: string,
  path: string,
  fields: readonly string[],
  body?: Uint8Array | string,
): Buffer {
  const bytes = Buffer.from(body ?? "");
  const lines = [`${method} ${path} HTTP/1.1`, "Host: localhost", ...fields];
  if (body !== undefined && !fields.some((each) => each.startsWith("Transfer"))) {
    lines.push(`Content-Length: ${bytes.length}`);
  }
  return Buffer.concat([Buffer.from(lines.join("\r\n") + "\r\n\r\n"), bytes]);
}

const JSON_FIELD = "Content-Type: application/json", FILE_FIELD = `Content-Type: ${FILE_TYPE}`;
/** With the statuses that may come. */
const KINDS: readonly (readonly [Buffer, readonly number[]])[] = [
  [request("POST", `${RUN}/gradients`, [FILE_FIELD], STEP), [200]],
  [request("POST", `${RUN}/gradients`, [JSON_FIELD], '{"gradients":{"w":[1,2,3,4]}}'), [200]],
  [
    request(
      "POST",
      `${RUN}/gradients`,
      [JSON_FIELD, "Transfer-Encoding: chunked"],
      '1d\r\n{"gradients":{"w":[1,2,3,4]}}\r\n0\r\n\r\n',
    ),
    [200],
  ],
  [request("GET", `${RUN}/variables`, [`Accept: ${FILE_TYPE}`]), [200]],
  [request("GET", `${RUN}/variables`, [`Accept: ${FILE_TYPE}`, 'If-None-Match: "v0"']), [200, 304]],
  [request("GET", "/healthz", []), [200]],
  [request("HEAD", RUN, []), [200]],
  [request("GET", "/v1/runs/nothing", []), [404]],
  [request("POST", `${RUN}/gradients`, [JSON_FIELD], '{"gradients":'), [400]],
  [request("POST", `${RUN}/gradients`, [FILE_FIELD], STEP.subarray(0, -1)), [400]],
  [request("PATCH", `${RUN}/optimizer`, [JSON_FIELD], '{"config":{"learning_rate":0.5}}'), [200]],
];

/** What breaks off: the service must not keep anything of it. */
const BROKEN = [
  "GET / HTTP/1.1\r\nHo",
  `POST ${RUN}/gradients HTTP/1.1\r\nHost: localhost\r\n${JSON_FIELD}\r\nContent-Length: 100\r\n\r\n{`,
  `POST ${RUN}/gradients HTTP/1.1\r\nHost: localhost\r\n${JSON_FIELD}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab`,
  `GET ${RUN}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  `GET ${RUN}/variables?after_iteration=9999999999 HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=60\r\n\r\n`,
  "nonsense\r\n\r\n",
];

async function write(socket: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await socket.write(rest));
}

/** Reads the answers to `count` requests of one kind. */
async function readAnswers(
  socket: Deno.Conn,
  { count, isHead, statuses }: {
    readonly count: number;
    readonly isHead: boolean;
    readonly statuses: readonly number[];
  },
): Promise<void> {
  let text = "";
  const buffer = Buffer.alloc(64 << 10);
  for (let left = count; left > 0;) {
    const end = text.indexOf("\r\n\r\n");
    const head = text.slice(0, end);
    const isEmpty = isHead || head.startsWith("HTTP/1.1 304");
    const length = end < 0 ? Infinity : isEmpty ? 0 : Number(/^content-length: (\d+)/im.exec(head)?.[1]);
    if (end >= 0 && text.length >= end + 4 + length) {
      const status = Number(head.slice(9, 12));
      assert.ok(statuses.includes(status), `${head}\n${text.slice(end, end + 500)}`);
      text = text.slice(end + 4 + length);
      left -= 1;
      continue;
    }
    const size = await within("No answer came", socket.read(buffer));
    if (size === null) throw new Error(`The connection ended after ${text}`);
    text += buffer.toString("latin1", 0, size);
  }
  assert.equal(text, "");
}

async function connect({ port }: RunningService): Promise<Deno.Conn> {
  return await Deno.connect({ hostname: "127.0.0.1", port });
}

/** Sends bursts until `next` says that there were enough. */
async function client(service: RunningService, next: () => number | undefined): Promise<void> {
  for (let sent = 0, isOver = false; !isOver;) {
    using socket = await connect(service);
    for (let burst = 0; burst < BURSTS; burst++) {
      const turn = next();
      if (turn === undefined) {
        isOver = true;
        break;
      }
      const [bytes, statuses] = KINDS[turn % KINDS.length]!;
      const isHead = bytes.subarray(0, 4).toString() === "HEAD";
      const writing = write(socket, Buffer.concat(Array(PIPELINED).fill(bytes)));
      await readAnswers(socket, { count: PIPELINED, isHead, statuses });
      await writing;
    }
    using broken = await connect(service);
    await write(broken, Buffer.from(BROKEN[sent++ % BROKEN.length]!));
  }
}

const residentBytes = ({ process: { pid } }: RunningService) =>
  1024 * Number(/VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1]);
const descriptors = ({ process: { pid } }: RunningService) => [...Deno.readDirSync(`/proc/${pid}/fd`)].length;

Deno.test({
  name: `${requests} requests leave no memory and no descriptor behind`,
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using service = await startProcess({ STEPWELL_LOG: "errors" });
    const made = await fetch(`${service.url}/v1/runs`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        id: "demo",
        optimizer: "Adam",
        variables: [{ name: "w", shape: [4] }],
        durability: "none",
      }),
    });
    assert.equal(made.status, 201, await made.text());
    const send = async (count: number) => {
      let turns = 0;
      const next = () => turns * PIPELINED < count ? turns++ : undefined;
      await Promise.all(Array.from({ length: CONNECTIONS }, () => client(service, next)));
    };
    // Until code is compiled and pools are full.
    await send(Math.max(requests / 5, 10_000));
    const open = descriptors(service), before = residentBytes(service);
    await send(requests);
    await until(() => descriptors(service) <= open + 2);
    const grown = residentBytes(service) - before;
    console.log({
      requests,
      residentMiB: Math.round(before / 2 ** 20),
      grownMiB: Math.round(grown / 2 ** 20),
    });
    assert.ok(grown <= GROWTH_BYTES_MAX, `${grown} bytes more after ${requests} requests`);
    const { code, errors } = await service.stop();
    assert.equal(code, 0, errors);
    assert.doesNotMatch(errors, /"level":"error"|error:/, errors.slice(0, 2000));
  },
});
