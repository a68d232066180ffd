/** A lane on loopback with a handler of the test, and sockets that speak to it byte by byte. */
import { readSettings, type Settings } from "../../../../src/config.ts";
import { serveLane } from "../../../../routes/lane/lane.ts";
import type { LaneParts } from "../../../../routes/lane/lane_parts.ts";
import { within } from "../../../support/waiting.ts";

export interface Lane extends AsyncDisposable {
  readonly port: number;
  readonly lines: Readonly<Record<string, unknown>>[];
  readonly failures: unknown[];
  shutdown(): Promise<void>;
}

export function openLane(
  handler: LaneParts["handler"],
  settings: Partial<Settings> = {},
  hostname = "127.0.0.1",
): Lane {
  const lines: Readonly<Record<string, unknown>>[] = [], failures: unknown[] = [];
  let ids = 0;
  const server = serveLane({ hostname, port: 0 }, {
    settings: { ...readSettings(() => undefined), ...settings },
    handler,
    wallClock: () => new Date("2025-01-31T12:00:00Z"),
    newId: () => `refusal-${++ids}`,
    log: (line) => lines.push(line),
    metrics: { request: () => {} },
    onFailure: (error) => failures.push(error),
  });
  const shutdown = () => server.shutdown();
  return { port: server.addr.port, lines, failures, shutdown, [Symbol.asyncDispose]: shutdown };
}

/** Answers with what it got. */
export async function echo(request: Request): Promise<Response> {
  const { method, url } = request;
  const body = await request.text();
  return json({ method, path: url.slice(url.indexOf("/", 8)), url, body });
}

export function json(value: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  const text = JSON.stringify(value);
  return new Response(text, {
    headers: { "Content-Type": "application/json", "Content-Length": String(text.length), ...headers },
  });
}

export class Client implements Disposable {
  readonly #socket: Deno.Conn;
  #text = "";

  private constructor(socket: Deno.Conn) {
    this.#socket = socket;
  }

  static async connect(port: number, hostname = "127.0.0.1"): Promise<Client> {
    return new Client(await Deno.connect({ hostname, port }));
  }

  /** Sends text, a byte for each character. */
  async send(text: string): Promise<void> {
    let bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    while (bytes.length > 0) bytes = bytes.subarray(await this.#socket.write(bytes));
  }

  closeWrite(): Promise<void> {
    return this.#socket.closeWrite();
  }

  /** All that comes until `pattern` is in it; what comes behind stays for the next call. */
  async until(pattern: RegExp): Promise<string> {
    const buffer = new Uint8Array(65536);
    for (;;) {
      const found = pattern.exec(this.#text);
      if (found) {
        const end = found.index + found[0].length, text = this.#text.slice(0, end);
        this.#text = this.#text.slice(end);
        return text;
      }
      const count = await within(`No ${pattern} came`, this.#socket.read(buffer));
      if (count === null) throw new Error(`The connection ended after ${JSON.stringify(this.#text)}`);
      this.#text += String.fromCharCode(...buffer.subarray(0, count));
    }
  }

  /** All that comes until the connection ends. */
  async rest(): Promise<string> {
    const buffer = new Uint8Array(65536);
    for (;;) {
      const count = await within("The connection did not end", this.#socket.read(buffer));
      if (count === null) break;
      this.#text += String.fromCharCode(...buffer.subarray(0, count));
    }
    const text = this.#text;
    this.#text = "";
    return text;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** The answers in what a connection sent: status, headers by name in lower case, body. Lengths are checked. */
export function answersIn(text: string): { status: number; headers: Map<string, string>; body: string }[] {
  const answers = [];
  for (let rest = text; rest !== "";) {
    const end = rest.indexOf("\r\n\r\n");
    if (end < 0) throw new Error(`No head in ${JSON.stringify(rest)}`);
    const [first = "", ...lines] = rest.slice(0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.[01] (\d{3}) \S/.exec(first)?.[1] ?? NaN);
    const headers = new Map(lines.map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]));
    const length = Number(headers.get("content-length") ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    if (body.length < length) throw new Error(`A body is too short: ${JSON.stringify(rest)}`);
    answers.push({ status, headers, body });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}
