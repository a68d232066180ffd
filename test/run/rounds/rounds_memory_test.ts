/** The memory of a round, and that all of it is released. */
import assert from "node:assert/strict";
import type { AggregationSpec } from "../../../src/run/api/run_spec.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { tensorFileReader } from "../../../src/wire/tensor_file.ts";
import { fileOf, measured, roundSpec } from "./support/contributions.ts";

const runOf = (aggregation: AggregationSpec) =>
  measured({ ...roundSpec(aggregation), variables: [{ name: "w", shape: [ROWS, 16] }] });

const CLIENTS = 200, ROWS = 64, MODEL_BYTES = 4 * ROWS * 16;

function sendRows(session: Session, rows: number | undefined, n: number): void {
  const staging = session.stage("gradients");
  const indices = Array.from({ length: rows ?? 0 }, (_, at) => (n * 31 + at) % ROWS);
  const count = rows ?? ROWS;
  const given = { name: "w", shape: [count, 16], values: Array<number>(16 * count).fill(0.25) };
  const reader = tensorFileReader(staging);
  reader.write(fileOf([rows === undefined ? given : { ...given, indices }]));
  reader.close();
  session.applyGradients(staging, { aggregate: true, dryRun: false });
  staging.release();
}

Deno.test("a round with a sum takes the memory of two models, however many clients contribute", async () => {
  for (const rows of [undefined, 1, 10, 40]) {
    const { session, used } = await runOf({ mode: "round", quorum: CLIENTS, aggregator: "Mean" });
    let most = 0;
    for (let n = 1; n < CLIENTS; n++) {
      sendRows(session, rows, n);
      most = Math.max(most, used());
    }
    // Memory for the variable and the sum: dense, with a waiting contribution, or lists of rows, merged when they
    // have more rows than the variable.
    const sums = rows === undefined ? 2 : 1;
    const indices = 4 * ROWS, lists = ROWS / (rows ?? ROWS);
    assert.ok(
      most <= MODEL_BYTES + sums * MODEL_BYTES + indices + 2 * 64 * lists,
      `${most} bytes with ${rows} rows`,
    );
    sendRows(session, rows, 0);
    assert.equal(used(), MODEL_BYTES, "nothing is left of the round");
  }
});

Deno.test("a dropped round with a sum releases all its memory, also that of a waiting contribution", async () => {
  const { session, used } = await runOf({
    mode: "round",
    quorum: 9,
    deadline_seconds: 60,
    aggregator: "Mean",
  });
  for (let n = 0; n < 4; n++) sendRows(session, undefined, n);
  assert.equal(used(), 3 * MODEL_BYTES);
  session.endRound({ reason: "deadline", applied: false });
  assert.equal(used(), MODEL_BYTES);
});

Deno.test("a round with a list takes the memory of a model per contribution, and releases all of it", async () => {
  const { session, used } = await runOf({ mode: "round", quorum: 20, aggregator: "Median" });
  for (let n = 1; n < 20; n++) {
    sendRows(session, undefined, n);
    assert.equal(used(), MODEL_BYTES + n * MODEL_BYTES);
  }
  sendRows(session, undefined, 0);
  assert.equal(used(), MODEL_BYTES);
});
