/** Lists of runs, page by page, in order of creation. Opens only the runs of which the disk cannot tell enough. */
import { type ErrorCode, refusal, StepwellError } from "../../errors.ts";
import type { RunDescription } from "../api/run_description.ts";
import type { RunTable } from "./run_table.ts";

/** Refusals for which a list leaves a run out. */
const SKIPPED: ReadonlySet<ErrorCode> = new Set(["run_damaged", "unknown_run"]);

interface Page {
  readonly limit: number;
  /** The `next` of an earlier page. */
  readonly cursor?: string | undefined;
}

export async function listRuns(table: RunTable, { limit, cursor }: Page) {
  if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) {
    const problem = `is ${JSON.stringify(cursor)}, must be the next_cursor of an earlier page`;
    throw refusal("invalid_request", "list runs", "cursor", problem);
  }
  const after = Number(cursor ?? -1);
  // Runs that were made at the same time may have been finished in another order.
  const rest = table.all().filter(({ sequence }) => sequence > after)
    .sort((a, b) => a.sequence - b.sequence);
  const page = rest.slice(0, limit);
  const runs: RunDescription[] = [];
  // One after the other: they need not fit into memory together.
  for (const { id } of page) {
    const description = await describe(table, id);
    if (description) runs.push(description);
  }
  return {
    runs,
    next: rest.length > limit ? String(page.at(-1)?.sequence) : undefined,
  };
}

/**
 * A run that is not in memory is described by its config in KV, unless it has changed since that was written.
 * Undefined for a damaged run, which must not keep the others from being listed, and for one that is gone meanwhile.
 */
async function describe(table: RunTable, id: string): Promise<RunDescription | undefined> {
  const entry = table.at(id);
  if (!entry) return undefined;
  const config = !entry.session && entry.store?.isUnchanged ? await entry.store.config() : undefined;
  const description = config === undefined ? undefined : JSON.parse(config) as RunDescription;
  // Earlier versions of the service have written less.
  if (description?.round !== undefined && !entry.session) {
    return { ...description, journal_bytes: 0, snapshot_version: description.version };
  }
  using lease = table.lease(id);
  try {
    const description = table.get(id).describe();
    await lease.durable();
    return description;
  } catch (error) {
    if (error instanceof StepwellError && SKIPPED.has(error.code)) return undefined;
    throw error;
  }
}
