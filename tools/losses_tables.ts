/** The tables of docs/losses.md, out of what the compiler of losses reads. Part of generate.ts. */
import { BINDING, NESTING_MAX, SIGN_BINDING } from "../kernels/language/syntax.ts";
import { lossCatalog } from "../src/autodiff/loss_catalog.ts";
import { NODES_MAX, RANK_MAX, WORK_MAX } from "../src/autodiff/graph/loss_graph.ts";
import { CHARACTERS_MAX, DEPTH_MAX, OPERATORS, SIGN } from "../src/autodiff/graph/loss_syntax.ts";
import { CALLS_MAX } from "../src/autodiff/layers/model.ts";
import { LAYERS_MAX } from "../src/autodiff/layers/topology.ts";
import { SETTINGS } from "../src/config.ts";
import { code, quantity } from "./cells.ts";
import type { Table } from "./markdown_tables.ts";

const { functions, layers, losses } = lossCatalog();

/** By the name in the `<!-- table: name -->` above each. */
export function lossesTables(): ReadonlyMap<string, Table> {
  const topics = [...new Set(functions.map(({ topic }) => topic))];
  return new Map([
    ["operators", operators()],
    ...topics.map((topic): [string, Table] => [topic, functionsOf(topic)]),
    ["layers", layerTable()],
    ["losses", lossTable()],
    ["bounds", bounds()],
    ["settings", settings()],
  ]);
}

/** From the tightest to the loosest. */
function operators(): Table {
  const rows = [...OPERATORS].map(([symbol, name]) => ({
    form: `a ${symbol} b`,
    name,
    binding: BINDING[symbol] as number,
  }));
  rows.push({ form: "-a", name: SIGN, binding: SIGN_BINDING });
  const levels = Map.groupBy(rows, ({ binding }) => binding);
  return [
    ["operators", "functions"],
    ...[...levels].sort(([a], [b]) => b - a).map(([, level]) => [
      level.map(({ form }) => code(form)).join(" "),
      level.map(({ name }) => code(name)).join(" "),
    ]),
  ];
}

function functionsOf(wanted: string): Table {
  const rows = functions.filter(({ topic }) => topic === wanted);
  return [
    ["function", "what it gives"],
    ...rows.map(({ signature, summary, differentiable }) => [
      code(signature),
      differentiable ? summary : `${summary} No gradient goes through it.`,
    ]),
  ];
}

type Schema = Readonly<Record<string, unknown>>;

/** Whether a key has one value only, and perhaps null or a list of it. */
function isFixed({ const: constant, type, anyOf, items }: Schema): boolean {
  if (Array.isArray(anyOf)) return anyOf.every(isFixed);
  return constant !== undefined || type === "null" || (type === "array" && isFixed(items as Schema));
}

const show = (value: unknown) =>
  typeof value === "string" ? value : JSON.stringify(value).replaceAll(",", ", ");

/** `Dense(units, activation=linear)`: what Keras' config of a class may hold, and what must be as it is. */
function configOf(className: string, { properties, required = [] }: Schema): readonly [string, string] {
  const all = Object.entries(properties as Record<string, Schema>);
  const named = ([key, schema]: [string, Schema]) =>
    "default" in schema
      ? `${key}=${show(schema["default"])}`
      : (required as string[]).includes(key)
      ? key
      : `${key}?`;
  const free = all.filter(([, schema]) => !isFixed(schema));
  const fixed = all.filter(([, schema]) => isFixed(schema) && "default" in schema);
  return [
    code(`${className}(${free.map(named).join(", ")})`),
    fixed.map((each) => code(named(each))).join(" "),
  ];
}

function layerTable(): Table {
  return [
    ["layer", "weights", "only with", "what it does"],
    ...layers.map(({ class_name, config, weights, summary }) => {
      const [form, fixed] = configOf(class_name, config);
      return [form, weights.map(code).join(" "), fixed, summary];
    }),
  ];
}

function lossTable(): Table {
  return [
    ["loss", "other names", "what it is"],
    ...losses.map(({ class_name, aliases, config, summary }) => [
      configOf(class_name, config)[0].replace("reduction=auto, ", "").replace("(reduction=auto)", ""),
      aliases.map(code).join(" "),
      summary,
    ]),
  ];
}

function settings(): Table {
  return [
    ["setting", "default", "meaning"],
    ...Object.entries(SETTINGS).filter(([name]) => name.startsWith("STEPWELL_LOSS")).map((
      [name, setting],
    ) => [
      code(name),
      quantity(setting.default, setting.unit),
      setting.description,
    ]),
  ];
}

function bounds(): Table {
  const rows: [string, number][] = [
    ["characters of a text", CHARACTERS_MAX],
    ["parentheses, calls and lists in one another", NESTING_MAX],
    ["operations that follow from one another in one text", DEPTH_MAX],
    ["operations of a loss, those of its model among them", NODES_MAX],
    ["multiplications of one operation", WORK_MAX],
    ["dimensions of a tensor", RANK_MAX],
    ["layers of a model", LAYERS_MAX],
    ["calls of layers", CALLS_MAX],
  ];
  return [["what", "at most"], ...rows.map(([what, most]) => [what, String(most)])];
}
