/**
 * Whose rule a form means: its `module` says it, or what only one framework writes.
 *
 * Knows no member. Invariant: a form that was taken before there were conventions means what it meant.
 */
import { refusal } from "../../errors.ts";
import type { Config, Member, PlaceOf } from "../mechanism/family.ts";
import { join } from "../mechanism/issues.ts";
import type { OptimizerMember } from "./member/optimizer_member.ts";
import { TORCH } from "./torch/torch_constructor.ts";

interface Convention {
  /** The module of its members; absent: they need none. */
  readonly module?: string;
  /** Names of the module in forms; the first one is for messages. */
  readonly names: readonly string[];
  /** Whether a module in a form means it. */
  readonly means: RegExp;
}

const CONVENTIONS: readonly Convention[] = [
  { names: ["keras.optimizers.legacy"], means: /^(tf_|tensorflow\.|tf\.)?keras\.(.+\.)?legacy(\.|$)/ },
  { module: TORCH, names: [TORCH], means: /^torch\.optim(\.|$)/ },
];

const isRegistered = (member: Member | undefined) =>
  (member as OptimizerMember | undefined)?.definition !== undefined;

/** Where the member of a form is. Throws unknown_class for a module that no convention has. */
export const placeOf: PlaceOf = ({ class_name: className, module, config }, { path, at }) => {
  const given: Config = config ?? {};
  if (typeof module !== "string") return { className, given };
  const found = CONVENTIONS.find(({ means }) => means.test(module));
  // A registered optimizer may be written as a class of its user's own module.
  if (!(found && at(className, found.module)) && isRegistered(at(className))) return { className, given };
  if (found) return { className, module: found.module, given };
  const known = CONVENTIONS.flatMap(({ names }) => names).join(", ");
  const problem = `is ${JSON.stringify(module)}, must be absent or one of ${known}`;
  throw refusal(
    "unknown_class",
    "find this optimizer",
    { path: join(path, "module"), called: "module" },
    problem,
  );
};
