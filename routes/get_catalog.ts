/** GET /v1/catalog: every member of every family. */
import { catalog } from "../src/families/catalog.ts";
import { answerJson } from "./answer.ts";
import type { Register } from "./context.ts";
import { answers, createRoute, json, mount, NoQuery, z } from "./operation.ts";
import { Config } from "./schemas.ts";

const lines = (description: string, example: readonly string[]) =>
  z.array(z.string()).openapi({ description, example: [...example] });

const CatalogMember = z.object({
  class_name: z.string().openapi({ description: "The member's name.", example: "NonNeg" }),
  aliases: lines("Other names that are taken for it.", ["non_neg"]),
  summary: z.string().openapi({
    description: "What it does, in a sentence.",
    example: "Keeps values at 0 or above.",
  }),
  config: z.record(z.string(), z.unknown()).openapi({
    description: "JSON Schema of its config.",
    example: { type: "object", properties: {}, additionalProperties: false },
  }),
}).openapi("CatalogMember", { description: "A member of a family." });

const Rows = z.object({
  all: lines("For all rows, first.", []),
  rows: lines("For the touched rows.", []),
  scalar_rows: lines("For touched rows of one element, where that differs.", []),
  after: lines("For all rows, last.", []),
  scatter: z.boolean().openapi({
    description: "Whether repeated rows are applied one by one.",
    example: false,
  }),
}).openapi({ description: "What happens to sparse gradients; nothing but empty lists: the dense lines." });

const CatalogVariant = z.object({
  config: Config,
  slots: z.record(z.string(), z.number()).openapi({
    description: "First value by slot.",
    example: { m: 0, v: 0 },
  }),
  slot_order: z.enum(["slot", "variable"]).openapi({
    description: "How weights are listed.",
    example: "slot",
  }),
  state: z.record(z.string(), z.number()).openapi({ description: "First value by scalar.", example: {} }),
  scalars: lines("Numbers of the step.", ["alpha = learning_rate / (1 - beta_1 ^ T)"]),
  dense: lines("What happens to each element.", ["w = w - learning_rate * g"]),
  sparse: Rows,
}).openapi("CatalogVariant", { description: "One update rule of an optimizer, as formulas." });

const CatalogOptimizer = z.object({
  ...CatalogMember.shape,
  description: z.string().openapi({
    description: "Where it comes from.",
    example: "Robbins and Monro, 1951.",
  }),
  attributes: lines("Hyperparameters that can be overwritten.", ["learning_rate"]),
  symbols: z.record(z.string(), z.string()).openapi({
    description: "Names in formulas that differ from those in the config.",
    example: {},
  }),
  variants: z.array(CatalogVariant).openapi({ description: "Its rules.", example: [] }),
}).openapi("CatalogOptimizer", { description: "An optimizer with its slots and formulas." });

const members = (description: string) => z.array(CatalogMember).openapi({ description, example: [] });

const Catalog = z.object({
  optimizers: z.array(CatalogOptimizer).openapi({ description: "Update rules.", example: [] }),
  schedules: members("What may stand in place of a learning rate."),
  constraints: members("What holds variables in bounds."),
  initializers: members("What makes first values."),
  aggregators: members("What makes one gradient of several contributions."),
  staleness_weightings: members("What a contribution counts that was computed some iterations ago."),
  transformers: members("What gradients may go through."),
}).openapi("Catalog", { description: "Every family with its members." });

export const route = createRoute({
  method: "get",
  path: "/v1/catalog",
  operationId: "get_catalog",
  tags: ["catalog"],
  summary: "Get the catalogue",
  description:
    "Every member of every family with the JSON Schema of its config; optimizers with slots and formulas.",
  request: { query: NoQuery },
  responses: answers({ 200: json("The catalogue.", Catalog) }, []),
});

export const register: Register = (app) => mount(app, route, (c) => answerJson(c, catalog()));
