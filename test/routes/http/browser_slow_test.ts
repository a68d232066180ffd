/**
 * The service and a real browser: a page of an allowed origin trains a run, a page of another origin and one under a
 * rebound name read and change nothing. Skipped where no Chromium is installed.
 */
import assert from "node:assert/strict";
import { findBrowser, launch, PAGE, servePages } from "../support/browser.ts";
import { startProcess } from "../../support/service.ts";

const browserPath = findBrowser();
if (browserPath === undefined) {
  console.warn("No browser: the tests of pages are skipped (install chromium, or name one in TEST_BROWSER)");
}

type Page = Awaited<ReturnType<Awaited<ReturnType<typeof launch>>["browser"]["newPage"]>>;

interface Scene {
  /** Opens the page with the scripts, as a page of this origin. */
  readonly open: (origin: string) => Promise<Page>;
  /** Where the browser reaches the service. */
  readonly service: string;
  readonly port: number;
  readonly page: (name: string) => string;
}

async function withBrowser(act: (scene: Scene) => Promise<void>): Promise<void> {
  await using pages = servePages();
  const page = (name: string) => `http://${name}.example:${pages.port}`;
  await using service = await startProcess({ STEPWELL_CORS_ORIGINS: page("page") });
  await using launched = await launch(browserPath as string);
  const open = async (origin: string) => {
    const tab = await launched.browser.newPage();
    // Under a rebound name the first page came from the attacker, at the same name and port.
    await tab.route("**/start", (route) => route.fulfill({ contentType: "text/html", body: PAGE }));
    await tab.goto(`${origin}/start`);
    return tab;
  };
  await act({ open, service: service.url, port: service.port, page });
}

async function demo(service: string): Promise<void> {
  const response = await fetch(`${service}/v1/runs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      id: "demo",
      optimizer: "SGD",
      variables: [{ name: "w", shape: [2], initial: [0.125, 0.25] }],
    }),
  });
  assert.equal(response.status, 201, await response.text());
}

/** All that a page could change: the list of runs, and all bytes of the run. */
async function stateOf(service: string): Promise<string> {
  const texts = ["/v1/runs", "/v1/runs/demo", "/v1/runs/demo/checkpoint"].map(async (path) => {
    const response = await fetch(service + path);
    assert.equal(response.status, 200);
    return (await response.bytes()).toBase64();
  });
  return (await Promise.all(texts)).join("\n");
}

/** What a page could read, by attempt. */
const attempts = async (page: Page, service: string) =>
  await page.evaluate(`attack("${service}")`) as Record<string, string>;

/** Counts of the answers by status. */
async function answered(service: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${service}/metrics`)).text();
  const counts: Record<string, number> = {};
  for (
    const [, status = "", count] of text.matchAll(/^stepwell_requests_total\{.*status="(\d+)"\} (\d+)/gm)
  ) {
    counts[status] = (counts[status] ?? 0) + Number(count);
  }
  return counts;
}

Deno.test({
  name: "a page of an allowed origin trains a run, in JSON and safetensors, and reads headers and events",
  ignore: browserPath === undefined,
  fn: () =>
    withBrowser(async ({ open, service, page }) => {
      const seen = await (await open(page("page"))).evaluate(`train("${service}", [1, -2, 0.5])`);
      assert.deepEqual(seen, {
        created: [201, "/v1/runs/page", '"v0"'],
        events: Array.from({ length: 8 }, (_, n) => [`${n}.1`, n + 1]),
        steps: Array(8).fill([200, "return=representation", null, "true"]),
        etag: '"v8"',
        statuses: [200, 200, 412, 204],
        refused: "version_mismatch",
        // Each step halves the distance.
        trained: [1, -2, 0.5].map((x) => x * (1 - 2 ** -8)),
      });
    }),
});

Deno.test({
  name: "a page of another origin reads and changes nothing, whatever it tries",
  ignore: browserPath === undefined,
  fn: () =>
    withBrowser(async ({ open, service, page }) => {
      await demo(service);
      const before = await stateOf(service);
      const { 403: none = 0 } = await answered(service);
      assert.equal(none, 0);
      const found = await attempts(await open(page("evil")), service);
      for (const [what, read] of Object.entries(found)) assert.equal(read, "nothing", what);
      assert.equal(await stateOf(service), before);
      // The attempts have arrived, and were refused; a browser may hold some back by itself.
      const { 403: refused = 0 } = await answered(service);
      assert.ok(refused >= Object.keys(found).length - 5, `${refused} of ${Object.keys(found).length}`);
    }),
});

Deno.test({
  name: "a page under a rebound name reads and changes nothing, although it is of the service's own origin",
  ignore: browserPath === undefined,
  fn: () =>
    withBrowser(async ({ open, service, port }) => {
      await demo(service);
      const before = await stateOf(service);
      const found = await attempts(await open(`http://rebound.example:${port}`), "");
      for (const [what, read] of Object.entries(found)) {
        // It may read that it was refused.
        if (read !== "nothing") assert.match(read, /^421 .*"code":"misdirected_request"/, what);
        assert.doesNotMatch(read, /0\.125|demo"|stepwell_/, what);
      }
      assert.match(found["cors GET /v1/runs"] ?? "", /^421 /);
      assert.equal(await stateOf(service), before);
      const { 421: refused = 0 } = await answered(service);
      assert.ok(refused >= Object.keys(found).length - 5, `${refused} of ${Object.keys(found).length}`);
    }),
});

Deno.test({
  name: "the service's own page works in a browser, by a link from another origin too",
  ignore: browserPath === undefined,
  fn: () =>
    withBrowser(async ({ open, service, page }) => {
      await demo(service);
      const own = await open(service);
      assert.equal(await own.evaluate(`fetch("/v1/runs/demo").then(({ status }) => status)`), 200);
      const other = await open(page("evil"));
      await other.evaluate(`location.href = "${service}/docs"`);
      await other.waitForSelector(".opblock");
      assert.equal(await other.title(), "Stepwell");
    }),
});
