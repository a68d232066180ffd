/**
 * The expected tables of the README, generated from the definitions. It is not a test: readme_test.ts compares them.
 */
import type { Services } from "../../routes/http/context.ts";
import { createApp } from "../../routes/app.ts";
import { openapi31 } from "../../routes/contract/openapi.ts";
import { readSettings, SETTINGS } from "../../src/config.ts";
import { ERRORS } from "../../src/errors.ts";
import { catalog, type CatalogOptimizer } from "../../src/families/catalog.ts";
import type { Table } from "./markdown_tables.ts";

/** By the name in the `<!-- table: name -->` above each. */
export function readmeTables(): ReadonlyMap<string, Table> {
  return new Map([
    ["operations", operations()],
    ["optimizers", optimizers()],
    ["parts", parts()],
    ["settings", settings()],
    ["errors", errors()],
  ]);
}

const code = (text: string) => `\`${text}\``;

function operations(): Table {
  const app = createApp({ settings: readSettings(() => undefined) } as Services);
  const { paths } = openapi31(app) as { paths: Record<string, Record<string, { summary: string }>> };
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary }]) => [code(`${method.toUpperCase()} ${path}`), summary])
  );
  return [["request", "what it does"], ...rows, [code("GET /docs"), "Read that document as a page"]];
}

function optimizers(): Table {
  return [
    ["optimizer", "slots", "what it is"],
    ...catalog().optimizers.map((member) => [code(member.class_name), slots(member), member.summary]),
  ];
}

/** The slots of all variants in order. Those that some variants lack are in parentheses. */
function slots({ variants }: CatalogOptimizer): string {
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

export function quantity(value: number | string, unit: string): string {
  if (typeof value === "string") return code(value);
  if (unit === "seconds") return `${value} s`;
  if (unit !== "bytes") return String(value);
  const [power, prefix] = value >= 1024 ** 3 ? [3, "GiB"] : value >= 1024 ** 2 ? [2, "MiB"] : [1, "KiB"];
  return `${value / 1024 ** (power as number)} ${prefix}`;
}

function errors(): Table {
  return [
    ["status", "code", "meaning"],
    ...Object.entries(ERRORS).map(([name, { status, meaning }]) => [String(status), code(name), meaning]),
  ];
}
