/**
 * The optimizers of a service: registered, persisted, and retained while runs are made with them.
 *
 * Which runs there are is its caller's (registry.ts). Invariant: what was acknowledged is on disk, and an optimizer
 * that any run needs, on disk or in memory, stays.
 */
import { StepwellError } from "../../errors.ts";
import { readDefinition } from "../../families/optimizers/custom/custom_member.ts";
import { definitionOf } from "../../families/optimizers/custom/definition_of_member.ts";
import { type Definition, DefinitionSchema } from "../../families/optimizers/definition_schema.ts";
import { differences, OptimizerSet } from "../../families/optimizers/custom/optimizer_set.ts";
import { join } from "../../families/mechanism/issues.ts";
import type { OptimizerMember } from "../../families/optimizers/optimizer_member.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import { type Releasable, releasable } from "../../releasable.ts";
import type { OptimizerRecord } from "../../store/kv.ts";
import type { Memory } from "../tensors/memory.ts";
import { tryOut } from "./trial.ts";

/** Of one service: all of them are in memory, and in its catalogue. */
const CUSTOM_MAX = 1000;

/** Where definitions outlive the process. */
export interface OptimizerStore {
  putOptimizer(record: OptimizerRecord): Promise<void>;
  removeOptimizer(className: string): Promise<void>;
}

interface OptimizersParts {
  /** Where the run lives that tries a definition out. */
  readonly memory: Memory;
  readonly store?: OptimizerStore | undefined;
  /** Ids of the runs that have the optimizer of this name. */
  readonly usersOf: (className: string) => readonly string[];
}

export class Optimizers {
  readonly #parts: OptimizersParts;
  readonly #set = new OptimizerSet();
  /** Runs that are being made, by optimizer. */
  readonly #retained = new Map<string, number>();
  #sequence = 0;
  /** The change before the next: changes wait for each other, because each writes a record. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * `records` as the store has them, in the order of registration. Their form is checked; the formulas were when they
   * were registered.
   */
  constructor(parts: OptimizersParts, records: readonly OptimizerRecord[] = []) {
    this.#parts = parts;
    for (const { sequence, definition } of records) {
      this.#set.add(DefinitionSchema.parse(definition));
      this.#sequence = sequence + 1;
    }
  }

  /** All that runs can be made with. */
  get family(): OptimizerFamily {
    return this.#set.family;
  }

  /** The definition of this name; of a built-in optimizer that of its default config. Throws unknown_optimizer. */
  definition(className: string): Definition {
    return definitionOf(this.#find(className), {});
  }

  /**
   * Adds an optimizer, or finds that the very same one is there: `created` tells which. On disk when this resolves.
   * Throws invalid_definition, optimizer_exists, too_many_optimizers, storage_full, storage_failed.
   */
  register(json: unknown): Promise<{ readonly definition: Definition; readonly created: boolean }> {
    const definition = readDefinition(json);
    return this.#afterOthers(async () => {
      if (this.#isKnown(definition)) return { definition, created: false };
      if (this.#set.customCount >= CUSTOM_MAX) {
        throw new StepwellError(
          "too_many_optimizers",
          `Cannot register ${definition.class_name}: ${CUSTOM_MAX} optimizers are registered, the most allowed`,
        );
      }
      tryOut(definition, this.#parts.memory);
      await this.#parts.store?.putOptimizer({ sequence: this.#sequence, definition });
      this.#sequence += 1;
      this.#set.add(definition);
      return { definition, created: true };
    });
  }

  /** Throws unknown_optimizer, optimizer_in_use, storage_full, storage_failed. */
  remove(className: string): Promise<void> {
    return this.#afterOthers(async () => {
      const { class_name, definition } = this.#find(className);
      const user = !definition ? "it is built in" : this.#userOf(class_name);
      if (!definition || user !== undefined) {
        throw new StepwellError(
          "optimizer_in_use",
          `Cannot delete the optimizer ${class_name}: ${user}, must be one that was registered and that no run uses`,
        );
      }
      // First: no run can be made with it while it is removed.
      this.#set.remove(class_name);
      try {
        await this.#parts.store?.removeOptimizer(class_name);
      } catch (error) {
        this.#set.add(definition);
        throw error;
      }
    });
  }

  /** Keeps an optimizer while a run is made with it, or removed. */
  retain(className: string): Releasable {
    this.#retained.set(className, (this.#retained.get(className) ?? 0) + 1);
    return releasable(() => {
      const left = (this.#retained.get(className) as number) - 1;
      if (left === 0) this.#retained.delete(className);
      else this.#retained.set(className, left);
    });
  }

  /**
   * The optimizers as a checkpoint needs them that brings its own definition along. Throws invalid_definition, and
   * optimizer_exists where the name means something else here.
   */
  familyWith(json: unknown): OptimizerFamily {
    if (json === undefined) return this.family;
    const path = "stepwell.definition";
    const definition = readDefinition(json, path);
    if (this.#isKnown(definition, path)) return this.family;
    const set = new OptimizerSet();
    set.add(definition);
    return set.family;
  }

  /** Whether the definition is here already. Throws optimizer_exists when its name means something else. */
  #isKnown(definition: Definition, path = ""): boolean {
    const found = this.#set.named(definition.class_name);
    if (!found) return false;
    const differing = found.definition && differences(found.definition, definition);
    if (differing?.length === 0) return true;
    const which = differing
      ? `another definition (it differs in ${differing.join(", ")})`
      : "a built-in optimizer";
    const wanted = differing ? "the very same, or have a name of its own" : "a name of its own";
    throw new StepwellError(
      "optimizer_exists",
      `Cannot register ${definition.class_name}: ${which} has the name ${found.class_name}, must be ${wanted}`,
      [{ path: join(path, "class_name"), message: `is that of ${which}, must be ${wanted}` }],
    );
  }

  /** Who needs it, in words. */
  #userOf(className: string): string | undefined {
    const [first, ...others] = this.#parts.usersOf(className);
    const more = others.length > 0 ? ` (and ${others.length} more)` : "";
    if (first !== undefined) return `the run ${JSON.stringify(first)} uses it${more}`;
    return this.#retained.has(className) ? "a run is being made with it, or deleted" : undefined;
  }

  #find(className: string): OptimizerMember {
    const found = this.#set.named(className);
    if (found) return found;
    throw new StepwellError(
      "unknown_optimizer",
      `Cannot find the optimizer ${JSON.stringify(className)}: none has this class_name`,
    );
  }

  #afterOthers<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#last.then(change);
    this.#last = done.catch(() => {});
    return done;
  }
}
