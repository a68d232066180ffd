/**
 * GET /docs: the OpenAPI document as a page. Swagger UI comes from its npm package and is served from this origin. It
 * is loaded at the first request.
 *
 * Its links are relative, so that they lead back here whatever path a proxy serves the service under.
 */
import type { AppContext, Register } from "./http/context.ts";

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stepwell</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</html>
`;
const SCRIPT =
  `SwaggerUIBundle({ url: "openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null });\n`;

/** Swagger UI writes style attributes and draws its icons as data URLs. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FILES: Readonly<Record<string, { readonly type: string; readonly load: () => Promise<string> }>> = {
  "/docs": { type: "text/html; charset=utf-8", load: () => Promise.resolve(PAGE) },
  "/docs/page.js": { type: "text/javascript; charset=utf-8", load: () => Promise.resolve(SCRIPT) },
  "/docs/swagger-ui.css": {
    type: "text/css; charset=utf-8",
    load: async () => (await import("swagger-ui-dist/swagger-ui.css", { with: { type: "text" } })).default,
  },
  "/docs/swagger-ui-bundle.js": {
    type: "text/javascript; charset=utf-8",
    load: async () =>
      (await import("swagger-ui-dist/swagger-ui-bundle.js", { with: { type: "text" } })).default,
  },
};

export const register: Register = (app) => {
  for (const [path, { type, load }] of Object.entries(FILES)) {
    app.get(path, async (c: AppContext) => {
      c.header("Content-Type", type);
      c.header("Content-Security-Policy", POLICY);
      c.header("Cache-Control", "max-age=3600");
      return c.body(await load());
    });
  }
};
