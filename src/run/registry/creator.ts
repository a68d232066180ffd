/**
 * Creates runs, from a spec or from a complete session, and remembers the responses to keyed creations.
 *
 * Invariant: a failed creation leaves nothing behind, in memory or on disk.
 */
import { BoundedMap } from "../../../kernels/bounded_map.ts";
import type { Runner } from "../../../kernels/compiler/runner.ts";
import { StepwellError } from "../../errors.ts";
import { inSlices } from "../../slices.ts";
import { ruleOf } from "../../families/optimizers/optimizer.ts";
import { ANSWER_LENGTH_MAX, CREATION_KEPT_MS, type CreationRecord } from "../../store/kv.ts";
import type { Optimizers } from "./optimizers.ts";
import { RunStore, type StoreParts } from "../../store/run_store.ts";
import type { Creation } from "../api/run_registry.ts";
import type { RunSpec } from "../api/run_spec.ts";
import { type KeyUse, plainKey } from "../api/steps.ts";
import type { RunTable } from "./run_table.ts";
import type { Memory } from "../tensors/memory.ts";
import { Session } from "../session/session.ts";
import { checkingNewSpec } from "../spec/new_constants.ts";
import { assertStepCost } from "../step/step_cost.ts";
import { checkingHeaderBytes } from "../checkpoint/header_size.ts";
import { prepareSnapshot } from "../checkpoint/prepared_snapshot.ts";
import { takeSnapshot } from "../checkpoint/snapshot_source.ts";
import { optimizersOf, resolveOptimizer, resolvingSpec } from "../spec/spec.ts";
import { writeInitialValues } from "../tensors/initial_values.ts";
import { rulesOf, RunState } from "../tensors/state.ts";

/** Characters that each variable takes at least in the description of a run. */
const VARIABLE_LENGTH_MIN = 70;
/** Limit of remembered keyed creations of runs that are not stored; the oldest are dropped. */
const CREATIONS_KEPT = 1000;

interface CreatorParts {
  readonly table: RunTable;
  readonly optimizers: Optimizers;
  readonly memory: Memory;
  readonly runner: Runner;
  readonly now: () => Date;
  readonly newId: () => string;
  readonly drawSeed: () => number;
  readonly store?: StoreParts | undefined;
}

export class Creator {
  readonly #parts: CreatorParts;
  /** Keyed creations of runs that are not stored, by key. */
  readonly #creations = new BoundedMap<string, CreationRecord>(CREATIONS_KEPT);

  constructor(parts: CreatorParts) {
    this.#parts = parts;
  }

  async create(spec: RunSpec, key?: KeyUse): Promise<Session> {
    const { table, optimizers, memory, runner, drawSeed, now, newId } = this.#parts;
    const id = spec.id ?? newId();
    using _id = table.reserve(id);
    const optimizer = resolveOptimizer(spec, optimizers.family);
    // In the same turn, because it could be removed before the next one.
    using _optimizer = optimizers.retain(optimizer.optimizer.member.class_name);
    const resolved = await inSlices(resolvingSpec(spec, optimizer));
    await inSlices(checkingNewSpec(resolved));
    assertStepCost(resolved, optimizersOf(resolved), {
      secondsMax: table.stepSecondsMax,
      action: "create the run",
      path: "optimizer",
    });
    await inSlices(checkingHeaderBytes(resolved));
    using unfinished = new DisposableStack();
    // This comes first, so that a run that does not fit is refused before anything of its size is allocated.
    const rule = ruleOf(resolved.optimizer);
    const state = unfinished.use(
      await inSlices(RunState.making(memory, resolved, rule, { isBlank: true })),
    );
    await writeInitialValues(spec.variables, state, { rules: rulesOf(rule, resolved), drawSeed });
    const createdAt = now().toISOString();
    const session = new Session({
      id,
      spec: resolved,
      state,
      memory,
      runner,
      now: () => now().getTime(),
      createdAt,
      version: 0,
    });
    await this.keep(session, { sequence: table.takeSequence(), key });
    unfinished.move();
    return session;
  }

  /** Whether the run gets files. */
  isStored({ durability }: Pick<Session, "durability">): boolean {
    return this.#parts.store !== undefined && durability !== "none";
  }

  /** Adds a complete session to the runs, after it has been stored. */
  async keep(
    session: Session,
    { sequence, key, created, replaces }: Kept,
  ): Promise<Session> {
    const { id, createdAt } = session;
    const { table, store: parts, newId } = this.#parts;
    const { class_name, definition } = session.optimizerMember;
    const store = parts && this.isStored(session)
      ? new RunStore(parts, {
        id,
        incarnation: newId(),
        sequence,
        createdAt,
        snapshots: [],
        configParts: 0,
        ...definition && { optimizer: class_name },
      })
      : undefined;
    const entry = table.make(id, sequence, store);
    // This comes first, because the remembered response describes the storage.
    table.attach(entry, session);
    const creation = key ? () => creationOf(session, key) : created && (() => created);
    if (store) {
      const prepared = await prepareSnapshot(session);
      await store.create((owner) => takeSnapshot(session, { owner, prepared }), { creation, replaces });
    } else if (key) this.#creations.set(key.key, creationOf(session, key));
    table.set(entry);
    return session;
  }

  /** Finds an earlier creation with this key. Throws key_reused if its request was a different one. */
  async creation({ key, hash }: { key: string; hash: string }): Promise<Creation | undefined> {
    const found = this.#creations.get(key) ?? await this.#parts.store?.configs.creation(key);
    const keptSince = this.#parts.now().getTime() - CREATION_KEPT_MS;
    if (!found || found.at !== undefined && found.at < keptSince) return undefined;
    if (found.hash === hash) return found;
    throw new StepwellError(
      "key_reused",
      `Cannot create a run: the Idempotency-Key ${
        JSON.stringify(plainKey(key))
      } was used for another request`,
    );
  }
}

interface Kept {
  /** The place in the order of creation. */
  readonly sequence: number;
  /** The request that created it, where it has a key. */
  readonly key?: KeyUse | undefined;
  /** The same for a run that takes another's place: the request that created that one. */
  readonly created?: Required<CreationRecord> | undefined;
  /** The incarnation of the same id whose place it takes. */
  readonly replaces?: string | undefined;
}

function creationOf(session: Session, { key, hash, at }: KeyUse): Required<CreationRecord> {
  const run = session.describe(), { id } = run;
  if (run.variables.length * VARIABLE_LENGTH_MIN > ANSWER_LENGTH_MAX) {
    return { key, hash, at, id, answer: null };
  }
  const answer = JSON.stringify(run);
  return { key, hash, at, id, answer: answer.length > ANSWER_LENGTH_MAX ? null : answer };
}
