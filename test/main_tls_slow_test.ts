/** The service with a certificate of its own. */
import assert from "node:assert/strict";
import { refusesToStart, testBothDoors } from "./support/service.ts";

const TLS = {
  STEPWELL_TLS_CERT: "test/support/tls/cert.pem",
  STEPWELL_TLS_KEY: "test/support/tls/key.pem",
};

testBothDoors("main speaks TLS with a certificate and its key", async (start) => {
  await using service = await start(TLS);
  assert.match(service.url, /^https:/);
  using client = Deno.createHttpClient({ caCerts: [Deno.readTextFileSync(TLS.STEPWELL_TLS_CERT)] });
  for (let count = 0; count < 3; count++) {
    const response = await fetch(`${service.url}/healthz`, { client });
    assert.deepEqual(await response.json(), { status: "ok" });
  }
  await assert.rejects(fetch(service.url.replace("https", "http")));
});

Deno.test("main refuses a certificate without its key, and files that are not there, with one line", async () => {
  await refusesToStart({ STEPWELL_TLS_CERT: "cert.pem" }, /^stepwell: Cannot speak TLS: must have both/);
  await refusesToStart(
    { ...TLS, STEPWELL_TLS_KEY: "nothing.pem" },
    /^stepwell: Cannot read STEPWELL_TLS_CERT or/,
  );
  await refusesToStart(
    { ...TLS, STEPWELL_TLS_KEY: "README.md" },
    /^stepwell: Cannot listen on 127.0.0.1:0: /,
  );
});
