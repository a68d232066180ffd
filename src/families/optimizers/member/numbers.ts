/** The numbers of a config under the names that formulas give them. Knows no optimizer by name. */
import type { Config } from "../../mechanism/family.ts";
import { CLIPS, type OptimizerMember, type Schedulable } from "./optimizer_member.ts";

type Named = Pick<OptimizerMember, "symbols" | "rateKey" | "timeDecay">;

/** What formulas call the learning rate, whatever its key is. */
export const RATE = "learning_rate";

/** A number of a config. */
export interface NamedNumber {
  /** Its key, or that of its list. */
  readonly key: string;
  /** Its name in formulas. */
  readonly name: string;
  readonly value: number;
}

/** All numbers of the config, unrounded, in its order. The learning rate is among them unless it is a schedule. */
export function numbersOf({ symbols = {}, rateKey, timeDecay }: Named, config: Config): NamedNumber[] {
  return Object.entries(config).flatMap(([key, value]) => {
    if (CLIPS.has(key) || (key === "decay" && timeDecay)) return [];
    const named = (path: string, number: number) => [{
      key,
      name: key === rateKey ? RATE : symbols[path] ?? path,
      value: number,
    }];
    if (typeof value === "number") return named(key, value);
    if (typeof value === "boolean") return key in symbols ? named(key, Number(value)) : [];
    if (!Array.isArray(value)) return [];
    return value.flatMap((item, n) => `${key}.${n}` in symbols ? named(`${key}.${n}`, item as number) : []);
  });
}

/** The learning rate of a config; 1 if it has none. */
export function rateOf({ rateKey }: Pick<Named, "rateKey">, config: Config): Schedulable {
  return (config[rateKey] ?? 1) as Schedulable;
}
