import type { Files } from "./files.ts";

/** A name like `name` that nothing in the folder has: what lies in lost+found/ is never written over. */
export function freeName(files: Files, folder: string, name: string): string {
  const taken = new Set(files.list(folder));
  let free = name;
  for (let more = 1; taken.has(free); more++) free = `${name}-${more}`;
  return free;
}
