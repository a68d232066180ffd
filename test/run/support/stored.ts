/** Registries with a store on a disk in memory, for tests of processes that die and of recovery from files. */
import assert from "node:assert/strict";
import { runCompiled } from "../../../kernels/compiler/runner.ts";
import { type ErrorCode, StepwellError } from "../../../src/errors.ts";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import { Registry, type RegistryOptions } from "../../../src/run/registry/registry.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { ConfigStore } from "../../../src/store/kv.ts";
import { Room } from "../../../src/store/room.ts";
import { Disk } from "../../store/support/disk.ts";
import { slotsOf, variablesOf } from "./harness.ts";

const FOLDER = "/runs";

export interface World extends AsyncDisposable {
  disk: Disk;
  registry: Registry;
  readonly configs: ConfigStore;
  /** The database is gone; the next process begins with an empty one. */
  loseDatabase(): Promise<void>;
  /** Called before each operation of KV with the method's name. It can throw to make the operation fail. */
  fault: (method: string) => void;
  /** Operations of KV that are not finished. */
  readonly unanswered: ReadonlySet<Promise<unknown>>;
  /** Milliseconds since 1970. */
  now: number;
  /** The process dies and another one starts with `disk`, by default the unchanged one. */
  restart(disk?: Disk): Promise<void>;
}

export async function newWorld(options: Partial<RegistryOptions> = {}): Promise<World> {
  let configs = await ConfigStore.open(":memory:");
  const unanswered = new Set<Promise<unknown>>();
  let ids = 0;
  const world: World = {
    disk: new Disk(),
    registry: undefined as unknown as Registry,
    get configs() {
      return configs;
    },
    loseDatabase: async () => {
      configs.close();
      configs = await ConfigStore.open(":memory:");
    },
    fault: () => {},
    unanswered,
    now: 0,
    restart: async (disk = world.disk.copy()) => {
      world.disk = disk;
      world.registry = await Registry.open({
        runsMax: 10_000,
        memoryBytesMax: 2 ** 30,
        runner: runCompiled,
        now: () => new Date(world.now),
        newId: () => `id-${ids++}`,
        drawSeed: () => 7,
        store: {
          files: disk,
          configs: watched(configs, { asking: (method) => world.fault(method), unanswered }),
          folder: FOLDER,
          room: new Room({ files: disk, folder: FOLDER }),
        },
        ...options,
      });
    },
    // deno-lint-ignore require-await -- the interface is asynchronous
    [Symbol.asyncDispose]: async () => configs.close(),
  };
  await world.restart();
  return world;
}

function watched(
  configs: ConfigStore,
  { asking, unanswered }: { asking: (method: string) => void; unanswered: Set<Promise<unknown>> },
): ConfigStore {
  return new Proxy(configs, {
    get(target, name) {
      const member = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...given: unknown[]) => {
        asking(String(name));
        const answer = member.apply(target, given);
        if (answer instanceof Promise) {
          const known: Promise<unknown> = answer.catch(() => {}).finally(() => unanswered.delete(known));
          unanswered.add(known);
        }
        return answer;
      };
    },
  });
}

export const SMALL: RunSpec = {
  id: "small",
  optimizer: { class_name: "Adam", config: { learning_rate: 0.1 } },
  variables: [{ name: "w", shape: [3], initial: [1, 2, 3] }],
};

export const GRADIENT = { w: [1, -2, 0.5] };

/** The state of a run that recovery must restore. Strict equality distinguishes −0 from 0. */
export function lasting(session: Session) {
  const { iterations, tensors } = session.weights();
  // Left out: data of the process and data that depend on when snapshots are written.
  const { journal_bytes: _, snapshot_version: __, ...description } = session.describe();
  return {
    description,
    variables: variablesOf(session),
    slots: slotsOf(session),
    weights: [iterations, ...tensors.map(({ name, values }) => [name, ...values])],
    replies: session.replies.all,
  };
}

/** Acts as a request does: takes a lease, uses the run, and answers after the changes are on disk. */
export async function request<T>(registry: Registry, id: string, act: (session: Session) => T): Promise<T> {
  const lease = registry.lease(id);
  try {
    const result = act(registry.get(id));
    await lease.durable();
    return result;
  } finally {
    lease.release();
  }
}

export async function refused(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(promise, (error) => {
    if (error instanceof StepwellError && error.code === code) return true;
    throw error;
  });
}
