/**
 * Compiled formula lists by their text and names, so that a step looks up what an earlier one compiled.
 *
 * Bounded: beyond the bound the oldest goes and is compiled again when it is wanted again.
 */
import { BoundedMap } from "../bounded_map.ts";
import type { Scope } from "../language/graph.ts";
import { Program } from "./compile.ts";

const programs = new BoundedMap<string, Program>(4096);
/** What the very same list of lines was last compiled to: spares a step the making of long keys. */
const latest = new WeakMap<readonly string[], Program>();

const NONE: readonly string[] = [];

const sameNames = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((name, index) => name === b[index]);

interface ProgramParts extends Partial<Scope> {
  readonly lines: readonly string[];
}

/** The program of these lines; names that are not given are none. */
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
