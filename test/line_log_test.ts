/** The log: whole lines in order, without waiting, within its bound. */
import assert from "node:assert/strict";
import { LineLog, type Output } from "../src/line_log.ts";

/** An output that takes at most `step` bytes per write, once `open` resolves. */
class SlowOutput implements Output {
  text = "";
  writes = 0;
  readonly step: number;
  readonly open: Promise<void>;

  constructor(step = Infinity, open: Promise<void> = Promise.resolve()) {
    this.step = step;
    this.open = open;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.open;
    this.writes += 1;
    const taken = bytes.subarray(0, this.step);
    this.text += new TextDecoder().decode(taken);
    return taken.length;
  }
}

Deno.test("LineLog writes lines whole and in order when the output takes a few bytes at a time", async () => {
  const output = new SlowOutput(3);
  const log = new LineLog(output);
  log.add({ a: 1 });
  log.add({ b: "x\ny", c: undefined });
  await log.flush();
  log.add({ d: 2 });
  await log.flush();
  assert.equal(output.text, '{"a":1}\n{"b":"x\\ny"}\n{"d":2}\n');
});

Deno.test("LineLog writes the lines of one moment at once", async () => {
  const output = new SlowOutput();
  const log = new LineLog(output);
  for (let i = 0; i < 100; i++) log.add({ i });
  await log.flush();
  assert.equal(output.writes, 1);
});

Deno.test("LineLog drops lines beyond its bound and reports how many", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const output = new SlowOutput(Infinity, promise);
  const log = new LineLog(output);
  const line = { text: "x".repeat(1000) };
  for (let i = 0; i < 2000; i++) log.add(line);
  resolve();
  await log.flush();
  const lines = output.text.trimEnd().split("\n").map((text) => JSON.parse(text));
  const told = lines.at(-1);
  assert.equal(told.level, "warn");
  assert.equal(lines.length - 1 + told.count, 2000);
  assert.ok(output.text.length < 1.1 * 2 ** 20);
});

Deno.test("LineLog continues when its output is closed", async () => {
  const log = new LineLog({ write: () => Promise.reject(new Error("closed")) });
  log.add({ a: 1 });
  await log.flush();
  log.add({ a: 2 });
  await log.flush();
});
