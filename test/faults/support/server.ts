/**
 * One service on one data folder, over many processes: started as `deno task start` does, killed by its process id,
 * started again. While no process runs, clients wait at a gate.
 *
 * Invariant: no process outlives its server.
 */
import assert from "node:assert/strict";
import { type RunningService, spawn, startProcess } from "../../support/service.ts";
import { type Answer, answerOf, type Call, requestInit } from "./calls.ts";

/** A request that takes longer than this hangs, even on a slow machine. */
const ANSWER_MS_MAX = 180_000;

interface Connection {
  readonly url: string;
  readonly client: Deno.HttpClient;
}

export class Server implements AsyncDisposable {
  readonly #env: Readonly<Record<string, string>>;
  #service: RunningService | undefined;
  #connection: Connection | undefined;
  #gate = Promise.withResolvers<void>();
  /** Milliseconds from each start to the ready line. */
  readonly startMs: number[] = [];

  constructor(env: Readonly<Record<string, string>>) {
    // Long enough to finish all requests at SIGTERM. main_slow_test.ts tests the case that time runs out.
    this.#env = { STEPWELL_LOG: "errors", STEPWELL_SHUTDOWN_SECONDS: "300", ...env };
  }

  async start(): Promise<void> {
    const service = await startProcess(this.#env);
    this.#service = service;
    this.#connection = { url: service.url, client: Deno.createHttpClient({ poolMaxIdlePerHost: 64 }) };
    this.startMs.push(service.readyMs);
  }

  /** Starts a process and kills it `ms` later, ready or not. */
  async startAndKill(ms: number): Promise<void> {
    const process = spawn(this.#env);
    await new Promise((resolve) => setTimeout(resolve, ms));
    try {
      process.kill("SIGKILL");
    } catch {
      // The process has ended by itself: its exit code and its output say why.
    }
    const { code, stderr } = await process.output();
    assert.equal(code, 137, new TextDecoder().decode(stderr));
  }

  /** Opens the gate for clients. */
  open(): void {
    this.#gate.resolve();
  }

  /** Resolves when the gate is open. */
  get opened(): Promise<void> {
    return this.#gate.promise;
  }

  /** Ends the process. It must still run, and must not have logged an error. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const service = this.#service;
    if (!service) throw new Error("Cannot end the service: it is not running");
    this.#gate = Promise.withResolvers<void>();
    const { code, errors } = await service.stop(signal);
    this.#service = undefined;
    this.#connection?.client.close();
    this.#connection = undefined;
    assert.equal(code, signal === "SIGKILL" ? 137 : 0, errors);
    assert.doesNotMatch(errors, /"level":"error"|error:/, errors);
  }

  /** Sends one request. Throws when the connection breaks. */
  async send(call: Call): Promise<Answer> {
    const connection = this.#connection;
    if (!connection) throw new TypeError("The service is not running");
    const { url, client } = connection;
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    return await answerOf(await fetch(url + call.path, { ...requestInit(call), client, signal }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection?.client.close();
    await this.#service?.[Symbol.asyncDispose]();
  }
}
