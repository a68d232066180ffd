/**
 * Reads the file of tokens, at the start and again when it has changed. It opens no file itself: main.ts hands in how.
 *
 * Invariant: a file that cannot be used changes nothing: the tokens of the last good one count.
 */
import { parseTokens, TokenFileError } from "./token_file.ts";
import type { Tokens } from "./tokens.ts";

export interface TokenFile {
  readonly path: string;
  readonly stat: () => Promise<Pick<Deno.FileInfo, "mtime" | "ctime" | "size" | "ino" | "dev">>;
  readonly read: () => Promise<string>;
}

interface Watch {
  readonly file: TokenFile;
  readonly tokens: Pick<Tokens, "replace">;
  readonly wallClock: () => Date;
  /** Tells the operator what has changed, and what is wrong with the file. */
  readonly notify: (line: { readonly level: "info" | "error"; readonly notice: string }) => void;
}

/** The clock of a file system may be coarse: within this time a second change may leave the file's times as they are. */
const SETTLED_MS = 2000;

export class TokenWatch {
  readonly #watch: Watch;
  #text: string | undefined;
  /** What `stat` said of that text; undefined: the file may have changed since without telling. */
  #stamp: string | undefined;
  #problem: string | undefined;
  #reading: Promise<void> | undefined;

  private constructor(watch: Watch) {
    this.#watch = watch;
  }

  /** Reads the file for the first time. Throws a {@link TokenFileError} that says where it is wrong. */
  static async open(watch: Watch): Promise<TokenWatch> {
    const opened = new TokenWatch(watch);
    await opened.#read();
    return opened;
  }

  /** Reads the file again if it has changed. What is wrong with it is told once. */
  refresh(): Promise<void> {
    return this.#reading ??= this.#refresh().finally(() => this.#reading = undefined);
  }

  async #refresh(): Promise<void> {
    const { notify } = this.#watch;
    try {
      const said = await this.#read();
      if (said !== undefined) notify({ level: "info", notice: said });
      this.#problem = undefined;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== this.#problem) {
        notify({ level: "error", notice: `${problem}; the tokens of the last good file count` });
      }
      this.#problem = problem;
    }
  }

  /** Returns what has changed; undefined: nothing. Throws a {@link TokenFileError}. */
  async #read(): Promise<string | undefined> {
    const { file, tokens, wallClock } = this.#watch;
    const { mtime, ctime, size, ino, dev } = await told(file.path, file.stat());
    const times = [mtime, ctime].map((time) => time?.getTime() ?? 0);
    const stamp = [dev, ino, size, ...times].join();
    if (stamp === this.#stamp) return undefined;
    const isSettled = wallClock().getTime() - Math.max(...times) > SETTLED_MS;
    const text = await told(file.path, file.read());
    const isNew = text !== this.#text;
    const entries = isNew ? parseTokens(file.path, text) : [];
    this.#stamp = isSettled ? stamp : undefined;
    this.#text = text;
    if (!isNew) return undefined;
    const gone = tokens.replace(entries);
    const revoked = gone.length > 0 ? `, revoked or changed: ${gone.join(", ")}` : "";
    return `STEPWELL_TOKENS was read again: ${entries.length} tokens${revoked}`;
  }
}

/** What the disk answers, or its error as one of the file. */
async function told<T>(path: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new TokenFileError(path, error instanceof Error ? error.message : String(error));
  }
}
