/**
 * The open runs by id, in order of creation.
 *
 * Not their behaviour (session.ts). Invariants: an id names at most one run; a run that could not be created
 * leaves nothing behind.
 */
import type { Runner } from "../../kernels/plan.ts";
import { StepwellError } from "../errors.ts";
import { ruleOf } from "../families/optimizers/optimizer.ts";
import type { Restoration, RunRegistry, RunSpec } from "./api.ts";
import { CheckpointReader } from "./checkpoint.ts";
import { Memory } from "./memory.ts";
import { Session } from "./session.ts";
import { initialValues, resolveSpec } from "./spec.ts";
import { RunState } from "./state.ts";

export interface RegistryOptions {
  readonly runsMax: number;
  readonly memoryBytesMax: number;
  /** Performs kernel calls: the compiled kernels, or the interpreter. */
  readonly run: Runner;
  readonly now: () => Date;
  readonly newId: () => string;
  /** A seed for an initializer that has none: an integer from 0, below 2^32. */
  readonly drawSeed: () => number;
}

interface Entry {
  readonly session: Session;
  /** Rises with every run created: what a page's cursor refers to, whatever is deleted meanwhile. */
  readonly sequence: number;
}

export class Registry implements RunRegistry {
  readonly #options: RegistryOptions;
  readonly #memory: Memory;
  readonly #entries = new Map<string, Entry>();
  readonly #reserved = new Set<string>();
  #sequence = 0;
  #stepsOfClosed = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#memory = new Memory({ bytesMax: options.memoryBytesMax });
  }

  async create(spec: RunSpec): Promise<Session> {
    const id = spec.id ?? this.#options.newId();
    this.#reserve(id);
    try {
      const resolved = resolveSpec(spec);
      const { run } = this.#options;
      // First: a run that does not fit is refused before anything of its size is made.
      const state = new RunState(this.#memory, resolved, ruleOf(resolved.optimizer));
      try {
        for (const [index, variable] of spec.variables.entries()) {
          const values = await initialValues(variable, `variables.${index}.initial`, this.#options.drawSeed);
          state.values(state.variable(variable.name)).set(values);
        }
      } catch (error) {
        state.free();
        throw error;
      }
      const createdAt = this.#options.now().toISOString();
      return this.#add(
        new Session({ id, spec: resolved, state, memory: this.#memory, run, createdAt, version: 0 }),
      );
    } finally {
      this.#reserved.delete(id);
    }
  }

  /** Holds the id and a place while a run is being made. */
  #reserve(id: string): void {
    if (this.has(id) || this.#reserved.has(id)) {
      throw new StepwellError("run_exists", `Cannot create the run "${id}": a run with this id exists`);
    }
    const { runsMax } = this.#options;
    if (this.#entries.size + this.#reserved.size >= runsMax) {
      throw new StepwellError(
        "too_many_runs",
        `Cannot create the run "${id}": ${runsMax} runs are open, the most allowed`,
      );
    }
    this.#reserved.add(id);
  }

  #add(session: Session): Session {
    this.#entries.set(session.id, { session, sequence: this.#sequence++ });
    return session;
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  get(id: string): Session {
    const entry = this.#entries.get(id);
    if (!entry) {
      throw new StepwellError("unknown_run", `Cannot find the run "${id}": no open run has this id`);
    }
    return entry.session;
  }

  list({ limit, cursor }: { limit: number; cursor?: string | undefined }) {
    if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) {
      const message = `is ${JSON.stringify(cursor)}, must be the next_cursor of an earlier page`;
      throw new StepwellError("invalid_request", `Cannot list runs: cursor ${message}`, [{
        path: "cursor",
        message,
      }]);
    }
    const after = Number(cursor ?? -1);
    const rest = [...this.#entries.values()].filter(({ sequence }) => sequence > after);
    const page = rest.slice(0, limit);
    return {
      runs: page.map(({ session }) => session),
      next: rest.length > limit ? String(page.at(-1)?.sequence) : undefined,
    };
  }

  delete(id: string): void {
    this.#close(this.get(id));
    this.#entries.delete(id);
  }

  #close(session: Session): void {
    this.#stepsOfClosed += session.stepCount;
    session.close();
  }

  restore(id: string): Restoration {
    let reader: CheckpointReader | undefined;
    return {
      begin: (metadata) => reader = new CheckpointReader(this.#memory, metadata),
      commit: () => {
        if (!reader) throw new Error("Nothing has been read yet");
        reader.finish();
        const old = this.#entries.get(id);
        if (!old) {
          this.#reserve(id);
          this.#reserved.delete(id);
        }
        const session = new Session({
          id,
          spec: reader.spec,
          state: reader.state,
          memory: this.#memory,
          run: this.#options.run,
          createdAt: old?.session.createdAt ?? this.#options.now().toISOString(),
          // A version never comes back with other content, so that ETags stay true.
          version: Math.max(reader.version, old?.session.version ?? 0) + 1,
        });
        reader = undefined;
        if (old) {
          this.#close(old.session);
          this.#entries.set(id, { session, sequence: old.sequence });
        } else this.#add(session);
        return { session, created: !old };
      },
      release: () => {
        reader?.state.free();
        reader = undefined;
      },
    };
  }

  figures() {
    const sessions = [...this.#entries.values()].map(({ session }) => session);
    const { arenas, arenaBytes, publishedBytes } = this.#memory.figures();
    return {
      runs: sessions.length,
      steps: sessions.reduce((sum, { stepCount }) => sum + stepCount, this.#stepsOfClosed),
      arenas,
      arenaBytes,
      runBytes: sessions.reduce((sum, { bytes }) => sum + bytes.state, 0),
      stagingBytes: sessions.reduce((sum, { bytes }) => sum + bytes.staging, 0),
      publishedBytes,
    };
  }
}
