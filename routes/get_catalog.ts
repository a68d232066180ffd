/** GET /v1/catalog: every member of every family. */
import { catalog } from "../src/families/catalog.ts";
import { answerJson } from "./answer.ts";
import type { Register } from "./context.ts";
import { answers, createRoute, json, mount, NoQuery, z } from "./operation.ts";
import { Config } from "./schemas.ts";
import { OptimizerDefinition } from "./schemas_optimizer.ts";

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

const CatalogVariant = z.object({ config: Config, definition: OptimizerDefinition })
  .openapi("CatalogVariant", { description: "One update rule of an optimizer, as formulas." });

const CatalogOptimizer = z.object({
  ...CatalogMember.shape,
  description: z.string().openapi({
    description: "Where it comes from.",
    example: "Robbins and Monro, 1951.",
  }),
  attributes: lines("Hyperparameters that can be overwritten.", ["learning_rate"]),
  custom: z.boolean().openapi({
    description: "Whether it was registered, instead of being built in.",
    example: false,
  }),
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

export const register: Register = (app, { registry }) =>
  mount(app, route, (c) => answerJson(c, catalog(registry.optimizers.family)));
