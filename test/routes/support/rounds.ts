/**
 * A service with runs that have rounds, on a disk in memory, with a clock that the test moves; and a reader of
 * server-sent events.
 */
import assert from "node:assert/strict";
import type { Settings } from "../../../src/config.ts";
import { newWorld, type World } from "../../run/support/stored.ts";
import { type Service, startService } from "./harness.ts";
import { releasable } from "../../../src/releasable.ts";

export const RUN = "/v1/runs/demo";
export const STEP = `${RUN}/gradients`;

export interface Rounds extends AsyncDisposable {
  readonly service: Service;
  readonly world: World;
  /** Abort it to tell the service to stop. */
  readonly stopping: AbortController;
  /** A client contributes its gradient of the scalar `w`. */
  contribute(clientId: string, w?: number, options?: Options): Promise<Response>;
  /** Advances the clock; rounds whose deadline has come end. */
  pass(seconds: number): void;
}

interface Options {
  readonly wait?: number;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A service with one run: SGD with learning rate 1, the scalar `w` at 0, rounds of two clients and one minute. */
export async function startRounds(
  aggregation: object = { mode: "round", quorum: 2, minimum: 1, deadline_seconds: 60 },
  settings: Partial<Settings> = {},
): Promise<Rounds> {
  const alarms = new Set<() => void>();
  const world = await newWorld({
    schedule: (_, call) => {
      alarms.add(call);
      return releasable(() => void alarms.delete(call));
    },
  });
  const stopping = new AbortController();
  const service = startService(settings, {
    registry: world.registry,
    wallClock: () => new Date(world.now),
    stopping: stopping.signal,
  });
  const body = {
    id: "demo",
    optimizer: { class_name: "SGD", config: { learning_rate: 1 } },
    variables: [{ name: "w", shape: [] }],
    aggregation,
  };
  const created = await service.send("POST", "/v1/runs", { body });
  assert.equal(created.status, 201, await created.text());
  return {
    service,
    world,
    stopping,
    contribute: (client_id, w = 1, { wait, key, headers = {} } = {}) =>
      service.send("POST", STEP, {
        body: { gradients: { w }, client_id },
        headers: {
          ...wait !== undefined && { Prefer: `wait=${wait}` },
          ...key !== undefined && { "Idempotency-Key": key },
          ...headers,
        },
      }),
    pass: (seconds) => {
      world.now += 1000 * seconds;
      for (const call of [...alarms]) {
        alarms.delete(call);
        call();
      }
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

/** Waits until everything that needs no timer is done. Returns whether `promise` has settled. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => void (settled = true);
  promise.then(settle, settle);
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve));
  return settled;
}

export interface ServerEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** Reads a stream of server-sent events block by block: events parsed, other blocks as text. */
export class EventReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(response: Response) {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("Content-Type"), "text/event-stream");
    assert.ok(response.body);
    this.#reader = response.body.getReader();
  }

  /** The next block; undefined at the end. */
  async block(): Promise<string | undefined> {
    while (!this.#text.includes("\n\n")) {
      const { value, done } = await this.#reader.read();
      if (done) {
        assert.equal(this.#text, "");
        return undefined;
      }
      this.#text += this.#decoder.decode(value, { stream: true });
    }
    const end = this.#text.indexOf("\n\n");
    const block = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    return block;
  }

  /** The next event; undefined at the end. */
  async event(): Promise<ServerEvent | undefined> {
    for (let block = await this.block(); block !== undefined; block = await this.block()) {
      const [, id, type, data] = /^id: (\S+)\nevent: (\w+)\ndata: (.*)$/.exec(block) ?? [];
      if (id !== undefined && type !== undefined) return { id, type, data: JSON.parse(data ?? "") };
      assert.match(block, /^(retry: \d+|:)$/);
    }
    return undefined;
  }

  /** The types of the next events. */
  async types(count: number): Promise<string[]> {
    const types: string[] = [];
    while (types.length < count) types.push((await this.event())?.type ?? "the end");
    return types;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }
}
