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

Deno.test("whoever has half of the places of any gate is told so, and others still get one", async () => {
  const gates = gatesOf({
    ...settings,
    STEPWELL_UPLOAD_BYTES_MAX: 1000,
    STEPWELL_DECODE_BYTES_MAX: 1000,
    STEPWELL_UPLOADS_MAX: 4,
    STEPWELL_EVENT_STREAMS_MAX: 5,
    STEPWELL_WAITS_MAX: 4,
  });
  for (const name of ["streams", "waits", "uploads", "decoders", "parsers"] as const) {
    const gate = gates[name];
    // Half of the bytes are so many for the gates that count only those.
    const weight = name === "decoders" ? 60 : name === "parsers" ? 180 : 1;
    using held = new DisposableStack();
    for (let i = 0; i < 2; i++) held.use(gate.acquireNow(weight, "a"));
    const refusal = { code: "busy", message: /\b2 (others|requests) of this client .* half of \d+/ };
    assert.throws(() => gate.acquireNow(weight, "a"), refusal, name);
    if (name !== "streams" && name !== "waits") {
      await assert.rejects(gate.acquire(weight, undefined, "a"), refusal);
    }
    for (const other of ["b", "c"]) held.use(gate.acquireNow(name === "decoders" ? 30 : weight, other));
    // Full for all: nobody is told of a share.
    if (name === "waits") {
      assert.throws(() => gate.acquireNow(0, "d"), { message: /: 4 requests already do, the most/ });
    }
    held.dispose();
    assert.equal(gate.open, 0);
    gate.acquireNow(weight, "a").release();
  }
});
