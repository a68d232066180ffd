/** The representation that a caller gets. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { startRun, startService } from "../support/harness.ts";

const JSON_ = "application/json";
const FILE = "application/vnd.safetensors";
const BYTES = "application/octet-stream";

const ACCEPTS: readonly (readonly [accept: string, expected: string | 400 | 406])[] = [
  ["", JSON_],
  ["*/*", JSON_],
  ["application/*", JSON_],
  [JSON_, JSON_],
  [FILE, FILE],
  [FILE.toUpperCase(), FILE],
  [BYTES, BYTES],
  [`${JSON_}, ${FILE}`, JSON_],
  [`${FILE}, ${JSON_};q=0.9`, FILE],
  [`${JSON_};q=0.5, ${FILE};q=0.6`, FILE],
  [`${FILE}, */*;q=0.1`, FILE],
  [`${JSON_};q=0, */*`, FILE],
  [`*/*, ${JSON_};q=0.1`, FILE],
  [`application/*;q=0.2, ${BYTES};q=0.3`, BYTES],
  ["text/html, application/xhtml+xml, */*;q=0.8", JSON_],
  [`${JSON_};charset=utf-8`, JSON_],
  [`${FILE} ; q=1.000 ,, `, FILE],
  // The defaults of HttpURLConnection before Java 17.0.12, of libwww-perl and of others.
  ["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON_],
  ["*", JSON_],
  [`${JSON_};q=.5, ${FILE};q=.6`, FILE],
  [`${FILE};q=1.0000`, FILE],
  [`${JSON_};q=0.33333, ${FILE};q=0.33334`, FILE],
  [`${JSON_}; q = 0.5, ${FILE}; Q=0.6`, FILE],
  [`text/x; a="1, 2; q=0", ${FILE}; v="a\\"b,"`, FILE],
  ["image/png", 406],
  ["text/*", 406],
  [`${JSON_};q=0`, 406],
  ["*/*;q=0", 406],
  ["json", 400],
  [`${JSON_};q=2`, 400],
  [`${JSON_};q=x`, 400],
  ["*/json", 400],
  [`${JSON_};q=1.0001`, 400],
  [`${JSON_};q=.`, 400],
  [`${JSON_};q=-0`, 400],
  [`${JSON_}, "`, 400],
];

Deno.test("Accept chooses by quality, then specificity, then the service's own order", async (t) => {
  const service = startService();
  await startRun(service);
  for (const [Accept, expected] of ACCEPTS) {
    await t.step(Accept || "(empty)", async () => {
      const response = await service.send("GET", "/v1/runs/demo/variables", { headers: { Accept } });
      const type = response.headers.get("Content-Type");
      await response.bytes();
      assert.equal(response.status === 200 ? type : response.status, expected);
      assert.equal(response.headers.get("Vary"), "Accept");
    });
  }
});

Deno.test("any Accept header gives 200, 400 or 406", async () => {
  const service = startService();
  await startRun(service);
  const part = fc.constantFrom(
    "*",
    "/",
    ";",
    "q=",
    "0",
    "1",
    ".5",
    ",",
    " ",
    "application",
    "json",
    JSON_,
    FILE,
    '"',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 12 }), async (parts) => {
      const headers = { Accept: parts.join("") };
      const response = await service.send("GET", "/v1/runs/demo/variables?name=bias", { headers });
      await response.bytes();
      assert.ok([200, 400, 406].includes(response.status));
    }),
    { numRuns: 200 },
  );
});

const PREFERS: readonly (readonly [prefer: string, applied: boolean])[] = [
  ["return=representation", true],
  ['return="representation"', true],
  ["Return=Representation", true],
  ["respond-async, return=representation; foo=bar", true],
  ["return=minimal", false],
  ["return=minimal, return=representation", false],
  ["representation", false],
  ["", false],
];

Deno.test("Prefer: return=representation is applied, and other preferences are ignored", async () => {
  const service = startService();
  await startRun(service);
  for (const [Prefer, applied] of PREFERS) {
    const response = await service.send("POST", "/v1/runs/demo/gradients", {
      body: { gradients: { scale: 1 } },
      headers: { Prefer },
    });
    assert.equal(
      response.headers.get("Preference-Applied"),
      applied ? "return=representation" : null,
      Prefer,
    );
    assert.equal("values" in (await response.json()).variables.scale, applied, Prefer);
  }
});

Deno.test("an applied step is answered even if its values are not available", async () => {
  const service = startService({ STEPWELL_JSON_BYTES_MAX: 1024 });
  const variables = [{ name: "w", shape: [100] }];
  await service.send("POST", "/v1/runs", { body: { id: "demo", optimizer: "SGD", variables } });
  const gradients = { w: { dtype: "float32", shape: [100], base64: new Uint8Array(400).toBase64() } };
  const headers = { Prefer: "return=representation" };
  const response = await service.send("POST", "/v1/runs/demo/gradients", { body: { gradients }, headers });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("Preference-Applied"), null);
  assert.deepEqual((await response.json()).variables, { w: { gradient_norm: 0 } });
  assert.equal((await service.send("GET", "/v1/runs/demo/variables")).status, 406);
  assert.equal(
    (await service.send("GET", "/v1/runs/demo/variables", { headers: { Accept: FILE } })).status,
    200,
  );
});
