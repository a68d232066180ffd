/** The refusals of the HTTP layer's gates. Admission is tested in test/gate_test.ts. */
import assert from "node:assert/strict";
import { gatesOf } from "../../../routes/http/gates.ts";
import { readSettings } from "../../../src/config.ts";
import { assertRejects } from "../../wire/support/refusals.ts";

const settings = {
  ...readSettings(() => undefined),
  STEPWELL_UPLOADS_MAX: 10,
  STEPWELL_UPLOAD_BYTES_MAX: 100,
  STEPWELL_UPLOAD_WAIT_SECONDS: 0.05,
  STEPWELL_EVENT_STREAMS_MAX: 1,
  STEPWELL_WAITS_MAX: 0,
};

Deno.test("a body that has waited too long is refused, and those behind it are admitted", async () => {
  const { uploads } = gatesOf(settings);
  using _large = await uploads.acquire(60);
  const refused = assertRejects(
    "busy",
    /^Cannot read this body: after 0.05 s, 1 others with 60 bytes are still being read, must fit among 10 bodies and 100 bytes$/,
    () => uploads.acquire(100),
  );
  await new Promise((resolve) => setTimeout(resolve, 20));
  const small = uploads.acquire(1);
  await refused;
  (await small).release();
});

Deno.test("streams and waits are refused at once", () => {
  const { streams, waits } = gatesOf(settings);
  using _stream = streams.acquireNow();
  assert.throws(() => streams.acquireNow(), {
    code: "busy",
    message: "Cannot read a stream of events: 1 requests already do, the most allowed",
  });
  assert.throws(() => waits.acquireNow(), {
    code: "busy",
    message: "Cannot wait for a result: 0 requests already do, the most allowed",
  });
});
