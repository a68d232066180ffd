/** The file of tokens is read again when it has changed, and a file that cannot be used changes nothing. */
import assert from "node:assert/strict";
import { type TokenEntry, TokenFileError } from "../../../routes/http/token_file.ts";
import { TokenWatch } from "../../../routes/http/token_watch.ts";
import { entryOf } from "../support/tokens.ts";

/** A file in memory, whose time is the clock's when it is written, in steps of a second. */
function scene(first: string) {
  let now = 10_000_000;
  let text: string | Error = first;
  let mtime = new Date(0);
  const counts = { reads: 0 };
  const lines: { level: string; notice: string }[] = [];
  const taken: (readonly TokenEntry[])[] = [];
  const answer = <T>(value: T) => text instanceof Error ? Promise.reject(text) : Promise.resolve(value);
  return {
    counts,
    lines,
    taken,
    pass: (ms: number) => void (now += ms),
    write(next: string | Error) {
      text = next;
      mtime = new Date(now - now % 1000);
    },
    open: () =>
      TokenWatch.open({
        file: {
          path: "tokens.json",
          stat: () => answer({ mtime, ctime: mtime, size: String(text).length, ino: 1, dev: 1 }),
          read: () => {
            counts.reads++;
            return answer(String(text));
          },
        },
        tokens: {
          replace: (entries) => {
            taken.push(entries);
            return taken.length > 1 ? ["someone"] : [];
          },
        },
        wallClock: () => new Date(now),
        notify: (line) => lines.push(line),
      }),
  };
}

const text = (...names: readonly string[]) => JSON.stringify(names.map((name) => entryOf(name)));

Deno.test("TokenWatch.open() takes the file, and refresh() reads it no more while it stays the same", async () => {
  const { open, counts, taken, lines } = scene(text("a"));
  const watch = await open();
  for (let i = 0; i < 3; i++) await watch.refresh();
  assert.equal(counts.reads, 1);
  assert.deepEqual(taken, [[entryOf("a")]]);
  assert.deepEqual(lines, []);
});

Deno.test("TokenWatch.open() throws for a file that cannot be used", async () => {
  await assert.rejects(scene("[").open(), TokenFileError);
  const { open, write } = scene("");
  write(new Deno.errors.NotFound("No such file or directory (os error 2)"));
  await assert.rejects(open(), {
    message: 'Cannot use STEPWELL_TOKENS="tokens.json": No such file or directory (os error 2)',
  });
});

Deno.test("TokenWatch.refresh() takes a changed file and tells who is gone", async () => {
  const { open, write, taken, lines } = scene(text("a", "b"));
  const watch = await open();
  write(text("b"));
  await watch.refresh();
  assert.deepEqual(taken.at(-1), [entryOf("b")]);
  assert.deepEqual(lines, [{
    level: "info",
    notice: "STEPWELL_TOKENS was read again: 1 tokens, revoked or changed: someone",
  }]);
});

Deno.test("TokenWatch.refresh() sees a second change of the same length within the same time of the file", async () => {
  const { open, write, pass, taken, counts } = scene(text("a"));
  const watch = await open();
  write(text("b"));
  await watch.refresh();
  write(text("c"));
  await watch.refresh();
  assert.deepEqual(taken.map(([entry]) => entry?.name), ["a", "b", "c"]);
  pass(5000);
  await watch.refresh();
  const { reads } = counts;
  await watch.refresh();
  assert.deepEqual([counts.reads, taken.length], [reads, 3]);
});

Deno.test("TokenWatch.refresh() keeps the tokens of the last good file and tells each trouble once", async () => {
  const { open, write, pass, taken, lines } = scene(text("a"));
  const watch = await open();
  const bad = ["[", "[", new Deno.errors.NotFound("gone"), new Deno.errors.NotFound("gone"), "{}"];
  for (const next of bad) {
    write(next);
    pass(5000);
    await watch.refresh();
  }
  assert.equal(taken.length, 1);
  assert.deepEqual(lines.map(({ level }) => level), ["error", "error", "error"]);
  for (const { notice } of lines) {
    assert.match(notice, /^Cannot use STEPWELL_TOKENS.*the tokens of the last good file count$/);
  }
  // Back as it was: nothing new to take. Then another.
  write(text("a"));
  await watch.refresh();
  assert.equal(taken.length, 1);
  write(text("b"));
  await watch.refresh();
  assert.deepEqual(taken.at(-1), [entryOf("b")]);
  write("[");
  await watch.refresh();
  assert.equal(lines.at(-1)?.level, "error", "the same trouble again is told again");
});

Deno.test("TokenWatch.refresh() reads the file once for all who ask meanwhile", async () => {
  const { open, write, counts } = scene(text("a"));
  const watch = await open();
  write(text("b"));
  await Promise.all([watch.refresh(), watch.refresh(), watch.refresh()]);
  assert.equal(counts.reads, 2);
});
