/**
 * The README's tables: operations, optimizers, members of families, settings and errors, from their definitions. Part
 * of generate.ts.
 */
import type { Services } from "../routes/http/context.ts";
import { createApp } from "../routes/app.ts";
import { openapi31 } from "../routes/contract/openapi.ts";
import { readSettings, SETTINGS } from "../src/config.ts";
import { ERRORS } from "../src/errors.ts";
import { catalog, type CatalogOptimizer } from "../src/families/catalog.ts";
import { code, quantity } from "./cells.ts";
import type { Table } from "./markdown_tables.ts";

/** The tables by the name in the comment `<!-- table: name -->` above each. */
export function readmeTables(): ReadonlyMap<string, Table> {
  return new Map([
    ["operations", operations()],
    ["optimizers", optimizers()],
    ["parts", parts()],
    ["settings", settings()],
    ["errors", errors()],
  ]);
}

function operations(): Table {
  const app = createApp({ settings: readSettings(() => undefined) } as Services);
  type Operations = Record<string, { summary: string; "x-required-scope": string }>;
  const { paths } = openapi31(app) as { paths: Record<string, Operations> };
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map((
      [method, { summary, "x-required-scope": scope }],
    ) => [code(`${method.toUpperCase()} ${path}`), summary, scope])
  );
  return [["request", "what it does", "scope"], ...rows, [
    code("GET /docs"),
    "Read that document as a page",
    "none",
  ]];
}

function optimizers(): Table {
  return [
    ["optimizer", "slots", "what it is"],
    ...catalog().optimizers.filter(({ module }) => module === undefined)
      .map((member) => [code(member.class_name), slots(member), member.summary]),
  ];
}

/** The slots of all variants in order; slots that only some variants have are in parentheses. */
export function slots({ variants }: CatalogOptimizer): string {
  const names = new Set(variants.flatMap((variant) => Object.keys(variant.definition.slots)));
  const shown = [...names].map((name) =>
    variants.every((variant) => name in variant.definition.slots) ? code(name) : `(${code(name)})`
  );
  return shown.join(" ") || "none";
}

function parts(): Table {
  const { optimizers: _shown, ...families } = catalog();
  return [
    ["family", "members"],
    ...Object.entries(families).map(([family, members]) => [
      family,
      members.map(({ class_name }) => code(class_name)).join(" "),
    ]),
  ];
}

function settings(): Table {
  return [
    ["setting", "default", "range", "meaning"],
    ...Object.entries(SETTINGS).map(([name, setting]) => [
      code(name),
      setting.default === "" ? "none" : quantity(setting.default, setting.unit),
      setting.kind === "text"
        ? setting.wanted
        : `${quantity(setting.minimum, setting.unit)} to ${quantity(setting.maximum, setting.unit)}`,
      setting.description,
    ]),
  ];
}

function errors(): Table {
  return [
    ["status", "code", "meaning"],
    ...Object.entries(ERRORS).map(([name, { status, meaning }]) => [String(status), code(name), meaning]),
  ];
}
