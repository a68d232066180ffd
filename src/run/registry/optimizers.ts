/**
 * The optimizers of a service: registered, stored, and retained while runs are created with them.
 *
 * It does not know the runs; its caller does (registry.ts). Invariants: acknowledged changes are on disk; an
 * optimizer that a run needs, on disk or in memory, is not removed.
 */
import { StepwellError } from "../../errors.ts";
import { readDefinition } from "../../families/optimizers/custom/custom_member.ts";
import { definitionOf } from "../../families/optimizers/custom/definition_of_member.ts";
import { type Definition, DefinitionSchema } from "../../families/optimizers/member/definition_schema.ts";
import { differences, OptimizerSet } from "../../families/optimizers/custom/optimizer_set.ts";
import { constantIssues } from "../../families/mechanism/finite_constants.ts";
import { join, refusalOfAll } from "../../families/mechanism/issues.ts";
import type { OptimizerMember } from "../../families/optimizers/member/optimizer_member.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import { type Releasable, releasable } from "../../releasable.ts";
import type { OptimizerRecord } from "../../store/kv.ts";
import type { Notice } from "../../store/notice.ts";
import type { Memory } from "../tensors/memory.ts";
import { tryOut } from "./trial.ts";

/** Limit of registered optimizers: all of them are in memory and in the catalogue. */
const CUSTOM_MAX = 1000;

/** Stores definitions beyond the life of the process. */
export interface OptimizerStore {
  putOptimizer(record: OptimizerRecord): Promise<void>;
  removeOptimizer(className: string): Promise<void>;
}

interface OptimizersParts {
  /** Memory for the trial run of a new definition. */
  readonly memory: Memory;
  readonly store?: OptimizerStore | undefined;
  /** Ids of the runs that use the optimizer of this name. */
  readonly usersOf: (className: string) => readonly string[];
  readonly onNotice?: ((notice: Notice) => void) | undefined;
}

export class Optimizers {
  readonly #parts: OptimizersParts;
  readonly #set = new OptimizerSet();
  /** Count of runs that are being created or deleted, by optimizer. */
  readonly #retained = new Map<string, number>();
  #sequence = 0;
  /** The latest change. Changes wait for each other, because each writes a record. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * `records` come from the store, in the order of registration. Their form is checked here; their formulas were
   * checked at registration.
   */
  constructor(parts: OptimizersParts, records: readonly OptimizerRecord[] = []) {
    this.#parts = parts;
    for (const { sequence, definition } of records) {
      this.#sequence = sequence + 1;
      const { success, data } = DefinitionSchema.safeParse(definition);
      if (success) this.#set.add(data);
      else {parts.onNotice?.({
          message: `The stored optimizer ${definition.class_name} is malformed: it is left out`,
        });}
    }
  }

  /** All optimizers that runs can be created with. */
  get family(): OptimizerFamily {
    return this.#set.family;
  }

  /**
   * The definition of this name, of this module if it is given; for a built-in optimizer, with its default config.
   * Throws unknown_optimizer.
   */
  definition(className: string, module?: string): Definition {
    return definitionOf(this.#find(className, module), {});
  }

  /**
   * Adds an optimizer; `created` is false if an identical one is registered already. It is on disk when this
   * resolves. Throws invalid_definition, optimizer_exists, too_many_optimizers, storage_full, storage_failed.
   */
  register(json: unknown): Promise<{ readonly definition: Definition; readonly created: boolean }> {
    const definition = readDefinition(json);
    return this.#afterOthers(async () => {
      if (this.#isKnown(definition)) return { definition, created: false };
      assertConstants(definition);
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
          `Cannot delete the optimizer ${class_name}: ${user}, must be a registered optimizer that no run uses`,
        );
      }
      // This comes first, so that no run can be created with it during the removal.
      this.#set.remove(class_name);
      try {
        await this.#parts.store?.removeOptimizer(class_name);
      } catch (error) {
        this.#set.add(definition);
        throw error;
      }
    });
  }

  /** Keeps an optimizer while a run with it is created or deleted. */
  retain(className: string): Releasable {
    this.#retained.set(className, (this.#retained.get(className) ?? 0) + 1);
    return releasable(() => {
      const left = (this.#retained.get(className) as number) - 1;
      if (left === 0) this.#retained.delete(className);
      else this.#retained.set(className, left);
    });
  }

  /**
   * The optimizers for reading a checkpoint, including the definition that it may contain. Throws invalid_definition,
   * and optimizer_exists if its name has another meaning here.
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

  /** Whether the definition is registered already. Throws optimizer_exists if its name has another meaning here. */
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

  /** A text that names the runs that need the optimizer; undefined if none does. */
  #userOf(className: string): string | undefined {
    const [first, ...others] = this.#parts.usersOf(className);
    const more = others.length > 0 ? ` (and ${others.length} more)` : "";
    if (first !== undefined) return `the run ${JSON.stringify(first)} uses it${more}`;
    return this.#retained.has(className) ? "a run with it is being created or deleted" : undefined;
  }

  #find(className: string, module?: string): OptimizerMember {
    const found = this.#set.named(className, module);
    if (found) return found;
    const where = module === undefined ? "" : ` in the module ${JSON.stringify(module)}`;
    throw new StepwellError(
      "unknown_optimizer",
      `Cannot find the optimizer ${JSON.stringify(className)}: none has this class_name${where}`,
    );
  }

  #afterOthers<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#last.then(change);
    this.#last = done.catch(() => {});
    return done;
  }
}

/** Throws invalid_definition for constants in the formulas that are not finite as float32. */
function assertConstants({ doubles, scalars, dense, sparse }: Definition): void {
  const issues = constantIssues({
    doubles,
    scalars,
    dense,
    ...sparse && {
      "sparse.all": sparse.all,
      "sparse.rows": sparse.rows,
      "sparse.scalar_rows": sparse.scalar_rows,
      "sparse.after": sparse.after,
    },
  });
  if (issues.length > 0) {
    throw refusalOfAll("invalid_definition", "register the optimizer", issues, { path: "" });
  }
}
