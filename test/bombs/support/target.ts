/** What bombs are thrown at: a running service, and the few ways to send something to it. */
import assert from "node:assert/strict";
import { type ErrorCode, ERRORS } from "../../../src/errors.ts";
import type { RunningService } from "../../support/service.ts";
import { until } from "../../support/waiting.ts";

export const JSON_TYPE = "application/json";
export const FILE_TYPE = "application/vnd.safetensors";

/** What is thrown, and how the service has to be started for it. One bomb is one entry of a table. */
export interface Bomb {
  readonly name: string;
  readonly throw: (target: Target) => Promise<unknown>;
  readonly settings?: Readonly<Record<string, string>>;
  /** How many files the service may open. */
  readonly descriptors?: number;
  /** Whether steps of so many numbers are taken that one may be as long as STEPWELL_STEP_SECONDS_MAX allows. */
  readonly hasLongSteps?: true;
  /** Whether it takes no more than some seconds, so that ordinary test runs have it too. */
  readonly isQuick?: true;
}

type Body = string | Uint8Array<ArrayBuffer> | object | undefined;

interface Answer {
  readonly status: number;
  readonly code: ErrorCode | undefined;
}

export class Target implements Disposable {
  readonly port: number;
  readonly #url: string;
  readonly #client = Deno.createHttpClient({ poolMaxIdlePerHost: 256 });
  readonly #sockets: Deno.TcpConn[] = [];

  constructor({ url, port }: RunningService) {
    this.#url = url;
    this.port = port;
  }

  /**
   * Sends a request and reads the whole answer. What is refused must be refused as the catalogue says, and never as a
   * fault of the service; a connection that the service closes is an answer too.
   */
  async send(method: string, path: string, body?: Body, headers: HeadersInit = {}): Promise<Answer> {
    const isRaw = typeof body === "string" || body instanceof Uint8Array;
    const type = body instanceof Uint8Array ? FILE_TYPE : JSON_TYPE;
    let response: Response;
    try {
      response = await fetch(this.#url + path, {
        method,
        client: this.#client,
        headers: { ...body !== undefined && { "Content-Type": type }, ...headers as Record<string, string> },
        ...body !== undefined && { body: isRaw ? body : JSON.stringify(body) },
      });
    } catch (error) {
      // The answer to the rest of the body: the connection is closed while it is still being sent.
      if (error instanceof TypeError) return { status: 0, code: undefined };
      throw error;
    }
    const { status } = response;
    if (status < 400) {
      await response.body?.pipeTo(new WritableStream());
      return { status, code: undefined };
    }
    const text = await response.text();
    // The server's own refusal of a head, before the service sees it.
    if (text === "" && (status === 400 || status === 431)) return { status, code: undefined };
    const { code } = JSON.parse(text) as { code: ErrorCode };
    assert.equal(ERRORS[code]?.status, status, text);
    assert.ok(status < 500 || status === 503 || status === 507, text);
    assert.ok(text.length < 80_000, `a refusal of ${text.length} bytes`);
    return { status, code };
  }

  /** The same request so many times at once. */
  atOnce(count: number, ...request: Parameters<Target["send"]>): Promise<Answer[]> {
    return Promise.all(Array.from({ length: count }, () => this.send(...request)));
  }

  /** Creates a run, which must succeed. */
  async create(spec: object): Promise<void> {
    const { status, code } = await this.send("POST", "/v1/runs", { optimizer: "SGD", ...spec });
    assert.equal(status, 201, code);
  }

  /** A figure of /metrics that has no labels. */
  async figure(name: string): Promise<number> {
    const text = await (await fetch(`${this.#url}/metrics`, { client: this.#client })).text();
    return Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  }

  /** So many connections that send `text` and stay. The last one is open, or refused, when this resolves. */
  async hold(count: number, text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let n = 0; n < count; n++) {
      const socket = await Deno.connect({ port: this.port, hostname: "127.0.0.1" }).catch(() => undefined);
      if (socket) this.#sockets.push(socket);
      await socket?.write(bytes).catch(() => {});
    }
  }

  /** Waits until other clients have taken so many steps of a run; each is answered. */
  async stepsOfOthers(count: number): Promise<void> {
    let steps = 0;
    await until(async () => {
      const { status } = await this.send("POST", "/v1/runs/others/gradients", { gradients: { w: [1, 1] } });
      if (status === 200) steps += 1;
      return steps >= count;
    });
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
    this.#client.close();
  }
}
