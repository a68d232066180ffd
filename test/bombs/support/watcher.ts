/** Watches a service from outside while it is under attack: how long others wait, and how much memory it takes. */
import { within } from "../../support/waiting.ts";
import type { Asking, Waits } from "./asking.ts";

export class Watcher implements Disposable {
  readonly #worker = new Worker(new URL("./asking.ts", import.meta.url), { type: "module" });
  readonly #asking = Promise.withResolvers<void>();
  readonly #told = Promise.withResolvers<Waits>();
  readonly #pid: number;

  constructor(asking: Asking) {
    this.#pid = asking.pid;
    this.#worker.onmessage = ({ data }: MessageEvent<Waits | "asking">) => {
      if (data === "asking") this.#asking.resolve();
      else this.#told.resolve(data);
    };
    this.#worker.onerror = (event) => this.#told.reject(new Error(event.message));
    this.#worker.postMessage(asking);
  }

  /** Resolves with the first answer. */
  get isAsking(): Promise<void> {
    return within("The client got no answer", this.#asking.promise);
  }

  async stop(): Promise<Waits> {
    this.#worker.postMessage("stop");
    return await within("The client did not get its last answer", this.#told.promise);
  }

  /** The most memory that the service has had, in bytes; undefined where the system does not tell. */
  get peakBytes(): number | undefined {
    try {
      const status = Deno.readTextFileSync(`/proc/${this.#pid}/status`);
      return 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]);
    } catch {
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
