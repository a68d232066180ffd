/**
 * The cache of programs, by their lines and names, so that a step finds what an earlier step compiled.
 *
 * The cache is bounded: the oldest program is evicted, and compiled again when it is needed.
 */
import { BoundedMap } from "../bounded_map.ts";
import type { Scope } from "../language/graph.ts";
import { Program } from "./compile.ts";

const programs = new BoundedMap<string, Program>(4096);
/** The latest program of each list of lines, by identity; saves a step from building long keys. */
const latest = new WeakMap<readonly string[], Program>();

const NONE: readonly string[] = [];

const sameNames = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((name, index) => name === b[index]);

interface ProgramParts extends Partial<Scope> {
  readonly lines: readonly string[];
}

/** The program of these lines; each list of names is empty by default. */
export function program(
  { lines, tensors = NONE, stored = NONE, uniforms = NONE }: ProgramParts,
): Program {
  const last = latest.get(lines);
  if (
    last && sameNames(last.scope.tensors, tensors) && sameNames(last.scope.stored, stored) &&
    sameNames(last.scope.uniforms, uniforms)
  ) return last;
  const key = `${lines.join("\n")}|${tensors.join()}|${stored.join()}|${uniforms.join()}`;
  let found = programs.get(key);
  if (!found) {
    found = new Program(lines, { tensors, stored, uniforms });
    programs.set(key, found);
  }
  latest.set(lines, found);
  return found;
}
