/**
 * The optimizers of one service: the built-in ones and the registered ones.
 *
 * Knows no run and no disk (src/run/registry/optimizers.ts does). Invariant: names are unique, ignoring case.
 */
import type { OptimizerMember } from "../member/optimizer_member.ts";
import { familyOf, type OptimizerFamily, optimizers } from "../mod.ts";
import { type CustomMember, memberOf } from "./custom_member.ts";
import type { Definition } from "../member/definition_schema.ts";

export class OptimizerSet {
  readonly #custom = new Map<string, CustomMember>();
  /** Built on first use, because many optimizers may be added before. */
  #family: OptimizerFamily | undefined = optimizers;

  /** All optimizers; a new object after each change. */
  get family(): OptimizerFamily {
    return this.#family ??= familyOf([...this.#custom.values()]);
  }

  get customCount(): number {
    return this.#custom.size;
  }

  /** The optimizer of this name and module, ignoring case; undefined if the name is free there. */
  named(className: string, wanted?: string): OptimizerMember | undefined {
    const name = className.toLowerCase();
    return this.family.members.find(({ class_name, aliases = [], module }) =>
      module === wanted && [class_name, ...aliases].some((each) => each.toLowerCase() === name)
    );
  }

  /** Adds a definition whose name is free. */
  add(definition: Definition): CustomMember {
    const member = memberOf(definition);
    this.#custom.set(definition.class_name, member);
    this.#family = undefined;
    return member;
  }

  remove(className: string): void {
    if (this.#custom.delete(className)) this.#family = undefined;
  }
}

/** The keys in which two definitions differ. The order of slots, hyperparameters and the like counts. */
export function differences(a: Definition, b: Definition): string[] {
  return (Object.keys(a) as (keyof Definition)[])
    .filter((key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]));
}
