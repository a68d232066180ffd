/**
 * Whose rule a form means: its `module` says it, or what only one framework writes.
 *
 * Knows no member. Invariant: a form that was taken before there were conventions means what it meant.
 */
import { refusal } from "../../errors.ts";
import type { Config, Form, Member, PlaceOf } from "../mechanism/family.ts";
import { join } from "../mechanism/issues.ts";
import { KERAS } from "./keras/keras_constructor.ts";
import type { OptimizerMember } from "./member/optimizer_member.ts";
import { OPTAX } from "./optax/optax_constructor.ts";
import { TFJS } from "./tfjs/tfjs_constructor.ts";
import { TORCH } from "./torch/torch_constructor.ts";

interface Convention {
  /** The module of its members; absent: they need none. */
  readonly module?: string;
  /** Names of the module in forms; the first one is for messages. */
  readonly names: readonly string[];
  /** Whether a module in a form means it. */
  readonly means: RegExp;
  /** Whether a form without a module can be of no other framework. */
  readonly isCertain?: (form: Form) => boolean;
}

/** The first that fits counts. */
const CONVENTIONS: readonly Convention[] = [
  {
    names: ["keras.optimizers.legacy"],
    means: /^(tf_|tensorflow\.|tf\.)?keras\.(.+\.)?legacy(\.|$)|^tensorflow\.python\.keras\./,
  },
  {
    module: KERAS,
    names: [KERAS],
    means: /^(tf_|tensorflow\.|tf\.)?keras\./,
    // Keras 2.11 to 2.15 write `Custom>Adam` in their older form, and the key in all forms.
    isCertain: ({ class_name, config }) =>
      config?.["is_legacy_optimizer"] === false ||
      (class_name.startsWith("Custom>") && config?.["is_legacy_optimizer"] !== true),
  },
  { module: TORCH, names: [TORCH], means: /^torch\.optim(\.|$)/ },
  { module: OPTAX, names: [OPTAX], means: /^optax(\.|$)/ },
  {
    module: TFJS,
    names: [TFJS],
    means: /^(@tensorflow\/)?tfjs(-core)?$/,
    // getConfig() of all its classes writes the rate so, and no other framework has a class Momentum.
    isCertain: ({ class_name, config }) => class_name === "Momentum" || "learningRate" in (config ?? {}),
  },
];

const LEGACY = CONVENTIONS[0] as Convention;

const isRegistered = (member: Member | undefined) =>
  (member as OptimizerMember | undefined)?.definition !== undefined;

/** Where the member of a form is. Throws unknown_class for a module that no convention has. */
export const placeOf: PlaceOf = (form, { path, at }) => {
  const { module } = form;
  // What Keras registers has its package before its name.
  const className = form.class_name.slice(form.class_name.lastIndexOf(">") + 1);
  const found = typeof module === "string"
    ? CONVENTIONS.find(({ means }) => means.test(module))
    : CONVENTIONS.find(({ isCertain }) => isCertain?.(form)) ?? LEGACY;
  const given: Config = form.config ?? {};
  // A registered optimizer may be written as a class of its user's own module.
  const isFree = typeof module !== "string" || !found || !at(className, found.module);
  if (isFree && isRegistered(at(className))) return { className, given };
  if (found) {
    return { className, module: found.module, given: found === LEGACY ? withoutMark(given) : given };
  }
  const known = CONVENTIONS.flatMap(({ names }) => names).join(", ");
  const problem = `is ${JSON.stringify(module)}, must be absent or one of ${known}`;
  throw refusal(
    "unknown_class",
    "find this optimizer",
    { path: join(path, "module"), called: "module" },
    problem,
  );
};

/** Keras' loaders take the mark away, too. */
function withoutMark({ is_legacy_optimizer: mark, ...given }: Config): Config {
  return mark === true || mark === undefined ? given : { ...given, is_legacy_optimizer: mark };
}
