/**
 * A real browser for tests: Chromium as it is installed, found by its name or by TEST_BROWSER, and the pages that it
 * loads. Names that end in `.example` lead to this machine.
 */
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** The path of a browser; undefined without one. */
export function findBrowser(): string | undefined {
  const named = Deno.env.get("TEST_BROWSER");
  if (named) return named;
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return NAMES.flatMap((name) => folders.map((folder) => `${folder}/${name}`)).find(isFile);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

export async function launch(executablePath: string) {
  const browser = await chromium.launch({
    executablePath,
    args: [
      "--host-resolver-rules=MAP *.example 127.0.0.1",
      // Chromium keeps pages away from this machine by itself. Not every browser does, so the service must.
      "--disable-features=LocalNetworkAccessChecks",
      // Chromium has no sandbox for root, as whom containers run tests.
      ...Deno.uid() === 0 ? ["--no-sandbox"] : [],
    ],
  });
  return { browser, [Symbol.asyncDispose]: () => browser.close() };
}

/** Serves one page for all paths, with the scripts of test/routes/support/pages/. */
export function servePages(): { readonly port: number } & AsyncDisposable {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const html = { headers: { "Content-Type": "text/html" } };
    return request.url.endsWith("/favicon.ico")
      ? new Response(null, { status: 404 })
      : new Response(PAGE, html);
  });
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

const script = (name: string) => Deno.readTextFileSync(new URL(`pages/${name}.js`, import.meta.url));
export const PAGE = `<!doctype html><title>A page</title><body>
<script type="module">${script("train")}</script>
<script type="module">${script("attack")}</script>
`;
