/** How long a body keeps its place: real time, as the grace of 5 s is not a setting. */
import assert from "node:assert/strict";
import { UploadPace } from "../../../routes/http/upload_pace.ts";
import { readSettings } from "../../../src/config.ts";
import { until } from "../../support/waiting.ts";
import { assertProblem, startRun, startService } from "../support/harness.ts";

const settings = { ...readSettings(() => undefined), STEPWELL_UPLOAD_BYTES_PER_SECOND_MIN: 100 };
const after = (seconds: number) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

Deno.test("a body below the pace is given up after 5 s, only while others wait, and never before", async () => {
  let isAwaited = true;
  const pace = (declared?: number) => new UploadPace({ settings, declared, isAwaited: () => isAwaited });
  using slow = pace(), fast = pace(), small = pace(1), waiting = pace();
  fast.received(1e6);
  waiting.received(1);
  const patience = waiting.excuse(after(6));
  await after(4.5);
  assert.deepEqual([slow, fast, small, waiting].map(({ signal }) => signal.aborted), [
    false,
    false,
    false,
    false,
  ]);
  await after(1);
  assert.deepEqual([slow, fast, small, waiting].map(({ signal }) => signal.aborted), [
    true,
    false,
    true,
    false,
  ]);
  assert.equal(slow.signal.reason.code, "body_timeout");
  isAwaited = false;
  await patience;
  await after(1);
  assert.equal(waiting.signal.aborted, false);
});

Deno.test("slow bodies of one client leave half of the places to others, and lose theirs while others wait", async () => {
  const service = startService({ STEPWELL_UPLOADS_MAX: 4, STEPWELL_UPLOAD_SECONDS: 7 });
  await startRun(service);
  const send = (body: BodyInit, hostname: string) =>
    service.app.request("/v1/runs/demo/gradients", {
      method: "POST",
      body,
      headers: { "Content-Type": "application/json" },
    }, { remoteAddr: { transport: "tcp", hostname, port: 1 } });
  const never = () =>
    new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([0x7b])) });
  const slow = [1, 2, 3].map(() => send(never(), "192.0.2.1"));
  await until(() => service.uploads.waiting === 1);
  assert.equal(service.uploads.open, 2);
  const other = await send('{"gradients":{"scale":1}}', "192.0.2.2");
  assert.equal(other.status, 200, await other.text());
  // One of the two makes room for the third. Then nobody waits any more, and the others have all their time.
  await until(() => service.uploads.waiting === 0);
  assert.equal(service.uploads.open, 2);
  const first = await Promise.race(slow);
  assert.equal(first.headers.get("Connection"), "close");
  await assertProblem(first, "body_timeout", 408);
  for (const { status } of await Promise.all(slow)) assert.equal(status, 408);
  assert.equal(service.uploads.open, 0);
});
