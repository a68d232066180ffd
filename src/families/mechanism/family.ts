/**
 * The mechanism behind every `{class_name, config}` of the service: optimizers, schedules, constraints, initializers,
 * aggregators, staleness weightings, transformers.
 *
 * It knows no family by name. It finds a member, checks a config against the member's zod object and writes both back
 * as JSON. Invariant: a {@link Part} from `resolve` has every key of its member's config, checked and with defaults
 * filled in.
 */
import { z } from "zod";
import { type Issue, refusal, StepwellError } from "../../errors.ts";
import { withoutNulls } from "../../nulls.ts";
import { isAbsentIfNull } from "./fields.ts";
import { join, refusalOfAll, tell } from "./issues.ts";

export type Config = Readonly<Record<string, unknown>>;

/** A problem of a config that involves more than the schema of one field. */
export interface Problem {
  readonly key: string;
  readonly message: string;
}

/** A named, configurable part. Each family extends it with what its members do. */
export interface Member {
  readonly class_name: string;
  /** Whose member it is, in a family that has members of one name from several modules; absent: no module is needed. */
  readonly module?: string;
  /** One sentence for the catalogue. */
  readonly summary: string;
  /** Other names that Keras accepts for it. */
  readonly aliases?: readonly string[];
  /** A strict object; every field carries its default, range and description. */
  readonly config: z.ZodObject;
  /** Keys whose values are formulas: an expression, or lines. */
  readonly formulas?: readonly string[];
  /** Checks that involve several keys of the config as it was sent. */
  check?(given: Config): readonly Problem[];
  /** Problems with a lower rank are reported first, equal ranks in the order found. `across`: it is from `check`. */
  rank?(key: string, kind: "field" | "across"): number;
}

/** A member with its checked config. */
export interface Part<M extends Member = Member> {
  readonly member: M;
  readonly config: Config;
}

/** How a part was written, besides its config. */
export interface Spelling {
  readonly class_name: string;
  readonly module?: string;
  readonly registered_name?: string | null;
}

/** The JSON form, as Keras serializes it. */
export interface PartJson extends Spelling {
  readonly config: Config;
}

/** `{class_name, config?}`, also in the Keras 2.12+ form, whose two other fields most families ignore. */
const FORM = z.strictObject({
  class_name: z.string(),
  config: z.record(z.string(), z.unknown()).nullish(),
  module: z.string().nullish(),
  registered_name: z.string().nullish(),
});

/** The schema of a field that holds a part of another family. The part itself is resolved afterwards. */
export const REFERENCE = z.union([z.string(), FORM]);

export type Form = z.output<typeof FORM>;

/** Where a form's member is, and the config that is meant for it. */
export interface Place {
  readonly className: string;
  readonly module?: string | undefined;
  readonly given: Config;
}

/** Says where a form's member is; `at` gives the member of a place. Throws for a module that it does not know. */
export type PlaceOf = (
  form: Form,
  family: { readonly path: string; at(className: string, module?: string): Member | undefined },
) => Place;

const inOnePlace: PlaceOf = ({ class_name, config }) => ({ className: class_name, given: config ?? {} });

/** A set of members, found by class name or alias, ignoring case, and by module where there are several. */
export class Family<M extends Member> {
  /** Singular, for messages: "optimizer". */
  readonly noun: string;
  readonly members: readonly M[];
  readonly #byName = new Map<string, M>();
  readonly #placeOf: PlaceOf;
  readonly #isOwn: boolean;

  /** `isOwn`: of no framework, so that null for any optional field means that it is left out. */
  constructor(
    noun: string,
    members: readonly M[],
    { placeOf = inOnePlace, isOwn = false }: { readonly placeOf?: PlaceOf; readonly isOwn?: boolean } = {},
  ) {
    this.#isOwn = isOwn;
    this.noun = noun;
    this.members = members;
    this.#placeOf = placeOf;
    for (const member of members) {
      for (const name of [member.class_name, ...member.aliases ?? []]) {
        this.#add(keyOf(name, member.module), member);
      }
    }
  }

  #add(name: string, member: M): void {
    const holder = this.#byName.get(name);
    if (holder && holder !== member) {
      throw new Error(`Two members of family ${this.noun} are named "${name}"`);
    }
    this.#byName.set(name, member);
  }

  /**
   * The member of this name.
   *
   * Throws `unknown_class`, which lists all names of the module; `path` is the path of the name in the request.
   */
  find(className: string, { path = "", module }: { path?: string; module?: string | undefined } = {}): M {
    const member = this.#byName.get(keyOf(className, module));
    if (member) return member;
    const names = this.members.filter((each) => each.module === module).map((each) => each.class_name)
      .join(", ");
    const whose = module === undefined ? "" : ` of ${module}`;
    const problem = `is ${JSON.stringify(className)}, must be one of ${names}${whose}`;
    const subject = { path: join(path, "class_name"), called: "class_name" };
    throw refusal("unknown_class", `find this ${this.noun}`, subject, problem);
  }

  /**
   * Reads a part: `{class_name, config?}`, the same with `module` and `registered_name`, or a bare name.
   *
   * Throws `unknown_class`, or `invalid_config` with one issue per problem; `path` is the prefix of their paths.
   */
  resolve(json: unknown, path = ""): Part<M> {
    const { member, given: sent } = this.read(json, path);
    const given = this.#isOwn ? withoutNulls(member.config, sent) as Config : sent;
    return { member, config: parseConfig(member, given, path) };
  }

  /** Finds the member, its config as it was sent, and how the rest was written. Throws like {@link resolve}. */
  read(json: unknown, path = ""): { member: M; given: Config; spelling: Spelling } {
    if (typeof json === "string") return this.read({ class_name: json }, path);
    const form = FORM.safeParse(json);
    if (!form.success) {
      const issues = form.error.issues.flatMap((issue) =>
        tell(issue, json, { holder: "the form", allowed: Object.keys(FORM.shape) }).map((told) => ({
          path: join(path, ...told.keys),
          message: told.message,
        }))
      );
      throw new StepwellError(
        "invalid_config",
        `Cannot read this ${this.noun}: must be {"class_name": …, "config": {…}} or a name`,
        issues,
      );
    }
    const at = (name: string, module?: string) => this.#byName.get(keyOf(name, module));
    const { className, module, given } = this.#placeOf(form.data, { path, at });
    const member = this.find(className, { path, module });
    return { member, given, spelling: spellingOf(form.data, member, className) };
  }

  /** The member of a part in JSON that the service wrote; undefined if it is gone. */
  memberOf({ class_name, module, registered_name, config }: PartJson): M | undefined {
    try {
      return this.read({ class_name, module, registered_name, config }).member;
    } catch (error) {
      if (error instanceof StepwellError) return undefined;
      throw error;
    }
  }
}

const keyOf = (name: string, module = "") => `${module} ${name.toLowerCase()}`;

/** The form without its config, with the member's own name; what comes before the name stays ("Custom>"). */
function spellingOf(form: Form, member: Member, className: string): Spelling {
  const before = form.class_name.slice(0, form.class_name.length - className.length);
  return {
    class_name: `${before}${member.class_name}`,
    ...typeof form.module === "string" &&
      { module: form.module, registered_name: form.registered_name ?? null },
  };
}

/** The JSON form of a part. */
export function serialize({ member: { class_name, module }, config }: Part): PartJson {
  return { ...module !== undefined && { module }, class_name, config };
}

/**
 * Checks a config and fills in its defaults. Throws `invalid_config` with all problems, in the member's order. `field`
 * holds the config in the part at `path`.
 */
export function parseConfig(member: Member, sent: Config, path = "", field = "config"): Config {
  const given = withoutAbsent(member, sent);
  const result = member.config.safeParse(given);
  const across = member.check?.(given) ?? [];
  if (result.success && across.length === 0) return result.data;

  const order = Object.keys(given);
  const found = [
    ...(result.error?.issues ?? [])
      .flatMap((issue) =>
        tell(issue, given, { holder: member.class_name, allowed: Object.keys(member.config.shape) })
      )
      .map((told) => ({ ...told, rank: member.rank?.(String(told.keys[0] ?? ""), "field") ?? 0 })),
    ...across.map(({ key, message }) => ({ keys: [key], message, rank: member.rank?.(key, "across") ?? 0 })),
  ];
  const place = (keys: readonly PropertyKey[]) => {
    const at = order.indexOf(String(keys[0]));
    return at < 0 ? order.length : at;
  };
  found.sort((a, b) => a.rank - b.rank || place(a.keys) - place(b.keys));
  throw invalidConfig(
    member.class_name,
    found.map(({ keys, message }) => ({ path: keys.map(String).join("."), message })),
    path,
    field,
  );
}

/** The config without nulls that mean in Keras that a key is left out. */
function withoutAbsent({ config: { shape } }: Member, sent: Config): Config {
  const isAbsent = (key: string) =>
    sent[key] === null && Object.hasOwn(shape, key) && isAbsentIfNull(shape[key]);
  const absent = Object.keys(sent).filter(isAbsent);
  if (absent.length === 0) return sent;
  return Object.fromEntries(Object.entries(sent).filter(([key]) => !absent.includes(key)));
}

/** The error for a refused config. The paths of `issues` are relative to the config. */
export function invalidConfig(
  className: string,
  issues: readonly Issue[],
  path = "",
  field = "config",
): StepwellError {
  return refusalOfAll("invalid_config", `configure ${className}`, issues, { path: join(path, field) });
}
