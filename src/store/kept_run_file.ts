/** The run's own file as one store keeps it: what it says beside the record stays as long as the run lives. */
import { CheckedFileDamage } from "./checked_file.ts";
import type { Files } from "./files.ts";
import type { CreationRecord } from "./kv.ts";
import { readingRunFile, type RunFile, writeRunFile } from "./run_file.ts";

type WrittenFile = Pick<RunFile, "record" | "config" | "sequence">;

/** Where the run came from. */
interface Origin {
  readonly creation?: RunFile["creation"] | undefined;
  readonly replaces?: string | undefined;
}

/** The same for a run that is being made: the request is asked for when the files are there. */
export interface Beginning {
  readonly creation?: (() => Required<CreationRecord>) | undefined;
  readonly replaces?: string | undefined;
}

export class KeptRunFile {
  readonly #files: Files;
  readonly #folder: string;
  #origin: Pick<RunFile, "creation" | "replaces"> = {};
  #sequence = 0;

  constructor(files: Files, folder: string) {
    this.#files = files;
    this.#folder = folder;
  }

  /** Sequence number of the next change when the file was written: the journals reach at least that far. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The keyed request that created the run, or the run whose place it has taken. */
  get creation(): RunFile["creation"] {
    return this.#origin.creation;
  }

  /**
   * Takes over what the file of this incarnation says, in pieces. One that is damaged is written anew with the next
   * snapshot.
   */
  *reading(incarnation: string): Generator<number, void> {
    try {
      const file = yield* readingRunFile(this.#files, this.#folder);
      if (file?.record.incarnation !== incarnation) return;
      this.#origin = originOf(file);
      this.#sequence = file.sequence;
    } catch (error) {
      if (!(error instanceof CheckedFileDamage)) throw error;
    }
  }

  /** Writes the file of a new run. Throws what the disk throws. */
  create(file: WrittenFile & Origin): Promise<void> {
    this.#origin = originOf(file);
    return this.write(file);
  }

  async write({ record, config, sequence }: WrittenFile): Promise<void> {
    await writeRunFile(this.#files, this.#folder, { record, config, sequence, ...this.#origin });
    this.#sequence = sequence;
  }
}

function originOf({ creation, replaces }: Origin): Pick<RunFile, "creation" | "replaces"> {
  return { ...creation && { creation }, ...replaces !== undefined && { replaces } };
}
