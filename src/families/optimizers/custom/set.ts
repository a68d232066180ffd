/**
 * The optimizers of one service: those that are built in, and those that were registered with it.
 *
 * Knows no run and no disk (src/run/optimizers.ts does). Invariant: names differ, whatever the case of their letters.
 */
import { Family } from "../../family.ts";
import type { OptimizerMember } from "../definition.ts";
import { type OptimizerFamily, optimizers } from "../mod.ts";
import { type CustomMember, memberOf } from "./member.ts";
import type { Definition } from "./schema.ts";

export class OptimizerSet {
  readonly #custom = new Map<string, CustomMember>();
  #family: OptimizerFamily = optimizers;

  /** All optimizers; another object after each change. */
  get family(): OptimizerFamily {
    return this.#family;
  }

  get customCount(): number {
    return this.#custom.size;
  }

  /** The optimizer of this name, whatever the case of its letters; undefined: the name is free. */
  named(className: string): OptimizerMember | undefined {
    const name = className.toLowerCase();
    return this.#family.members.find(({ class_name, aliases = [] }) =>
      [class_name, ...aliases].some((each) => each.toLowerCase() === name)
    );
  }

  /** Adds a definition whose name is free. */
  add(definition: Definition): CustomMember {
    const member = memberOf(definition);
    this.#custom.set(definition.class_name, member);
    this.#rebuild();
    return member;
  }

  remove(className: string): void {
    if (this.#custom.delete(className)) this.#rebuild();
  }

  #rebuild(): void {
    this.#family = new Family<OptimizerMember>("optimizer", [
      ...optimizers.members,
      ...this.#custom.values(),
    ]);
  }
}

/** Whether two definitions say the same. */
export function sameDefinition(a: Definition, b: Definition): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
