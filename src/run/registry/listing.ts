/** Lists runs in pages, in order of creation. It opens only runs that their stored records do not describe. */
import { type ErrorCode, refusal, StepwellError } from "../../errors.ts";
import { nextTurn } from "../../slices.ts";
import type { RunDescription } from "../api/run_description.ts";
import type { RunTable } from "./run_table.ts";

/** Errors that make a list omit a run. */
const SKIPPED: ReadonlySet<ErrorCode> = new Set(["run_damaged", "unknown_run"]);

export interface Page {
  readonly limit: number;
  /** The `next` of an earlier page. */
  readonly cursor?: string | undefined;
  /** Leaves runs out. Absent: all are listed. */
  readonly isListed?: (id: string) => boolean;
}

/** A page ends with the run that makes it longer than this, as JSON: a run may have megabytes of names and schedules. */
const PAGE_LETTERS_MAX = 4 << 20;
/** Letters of a variable, with a shape of two dimensions, besides its name and constraint. */
const VARIABLE_LETTERS = 80;
/** Letters after which others run. */
const SLICE_LETTERS = 256 << 10;

export async function listRuns(table: RunTable, { limit, cursor, isListed = () => true }: Page) {
  if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) {
    const problem = `is ${JSON.stringify(cursor)}, must be the next_cursor of an earlier page`;
    throw refusal("invalid_request", "list runs", "cursor", problem);
  }
  const after = Number(cursor ?? -1);
  // Runs that were created concurrently may have entered the table in another order.
  const rest = table.all().filter(({ id, sequence }) => sequence > after && isListed(id))
    .sort((a, b) => a.sequence - b.sequence);
  const runs: RunDescription[] = [];
  let last = after, letters = 0, unseen = 0;
  // One after the other, because they need not fit into memory together.
  for (const { id, sequence } of rest.slice(0, limit)) {
    const description = await describe(table, id);
    last = sequence;
    if (!description) continue;
    runs.push(description);
    const length = lettersOf(description);
    letters += length;
    unseen += length;
    if (letters > PAGE_LETTERS_MAX) break;
    if (unseen < SLICE_LETTERS) continue;
    unseen = 0;
    await nextTurn();
  }
  const isLast = last === (rest.at(-1)?.sequence ?? after);
  return { runs, next: isLast ? undefined : String(last) };
}

/** About how long a description is as JSON. It has many variables, or long schedules, or is short. */
function lettersOf({ variables, ...rest }: RunDescription): number {
  return variables.reduce(
    (sum, { name, constraint }) =>
      sum + VARIABLE_LETTERS + name.length + (constraint ? JSON.stringify(constraint).length : 0),
    JSON.stringify(rest).length,
  );
}

/**
 * Describes a run. If it is not in memory, its config in KV is used, unless the run has changed since that was
 * written. Returns undefined for a damaged run, which must not prevent a list of the others, and for a deleted one.
 */
async function describe(table: RunTable, id: string): Promise<RunDescription | undefined> {
  const entry = table.at(id);
  if (!entry) return undefined;
  const config = !entry.session && entry.store?.isUnchanged ? await entry.store.config() : undefined;
  const description = config === undefined ? undefined : JSON.parse(config) as RunDescription;
  // Earlier versions of the service wrote configs without a round.
  if (description?.round !== undefined && !entry.session) {
    return { ...description, journal_bytes: 0, snapshot_version: description.version };
  }
  using lease = table.lease(id);
  try {
    const description = (await table.open(id)).describe();
    await lease.durable();
    return description;
  } catch (error) {
    if (error instanceof StepwellError && SKIPPED.has(error.code)) return undefined;
    throw error;
  }
}
