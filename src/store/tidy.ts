/** Removes the files of a run that nothing reads any more: those from before the oldest snapshot that is kept. */
import type { Files } from "./files.ts";
import { generationsOf, journalName } from "./journal_chain.ts";
import type { RunRecord } from "./kv.ts";
import { asideName, snapshotName } from "./snapshot_writer.ts";

/** What cannot be removed is tried again with the next snapshot, and at the next start. */
export async function tidy(files: Files, folder: string, { snapshots }: RunRecord): Promise<void> {
  const oldest = snapshots.at(-1)?.generation ?? 0;
  const found = files.list(folder);
  for (const name of [snapshotName, asideName, journalName]) {
    for (const generation of generationsOf(found, name)) {
      if (generation < oldest) await files.remove(`${folder}/${name(generation)}`).catch(() => {});
    }
  }
}
