/**
 * A service that never crashes: the same app on a registry without a store, in this process.
 *
 * Not a fake: it differs from the service under test only in that its runs never leave memory.
 */
import { runCompiled } from "../../../kernels/compiler/runner.ts";
import { createApp } from "../../../routes/app.ts";
import { Metrics } from "../../../routes/http/metrics.ts";
import { Tokens } from "../../../routes/http/tokens.ts";
import { gatesOf } from "../../../routes/http/gates.ts";
import { Losses } from "../../../src/autodiff/losses.ts";
import { readSettings } from "../../../src/config.ts";
import { Registry } from "../../../src/run/registry/registry.ts";
import { KeysInProgress } from "../../../src/run/answers/replies.ts";
import { type Answer, answerOf, type Call, requestInit } from "./calls.ts";

export class Twin {
  readonly #app: ReturnType<typeof createApp>;
  readonly #losses: Losses;

  constructor() {
    const settings = readSettings(() => undefined);
    this.#losses = new Losses(settings);
    this.#app = createApp({
      settings,
      registry: new Registry({
        runsMax: settings.STEPWELL_RUNS_MAX,
        memoryBytesMax: settings.STEPWELL_MEMORY_BYTES_MAX,
        runner: runCompiled,
        now: () => new Date(0),
        newId: () => crypto.randomUUID(),
        drawSeed: () => 7,
      }),
      creations: new KeysInProgress(),
      wallClock: () => new Date(),
      losses: this.#losses,
      ...gatesOf(settings),
      metrics: new Metrics(),
      tokens: new Tokens(settings),
      ownPort: () => settings.STEPWELL_PORT,
      now: () => 0,
      log: () => {},
      stopping: new AbortController().signal,
    });
  }

  async send(call: Call): Promise<Answer> {
    return await answerOf(await this.#app.request(call.path, requestInit(call)));
  }

  /** Ends the thread that computes gradients. */
  close(): void {
    this.#losses.close();
  }
}
