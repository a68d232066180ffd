/** GET /v1/catalog: every member of every family, and the functions and layers of losses. */
import { lossCatalog } from "../src/autodiff/loss_catalog.ts";
import { catalogInTurns } from "../src/families/catalog.ts";
import type { OptimizerFamily } from "../src/families/optimizers/mod.ts";
import { answerJsonText } from "./http/answer.ts";
import type { Register } from "./http/context.ts";
import {
  answers,
  createRoute,
  json,
  mount,
  NoQuery,
  requestHeader,
  STATE_HEADERS,
  z,
} from "./contract/operation.ts";
import { knownTags } from "./http/preconditions.ts";
import { Config } from "./contract/tensor_schemas.ts";
import { OptimizerDefinition } from "./contract/optimizer_schemas.ts";

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
  module: z.string().optional().openapi({
    description: "What the module of its configs must be; absent: none is needed.",
    example: "torch.optim",
  }),
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

const CatalogLayer = z.object({
  ...CatalogMember.shape,
  weights: lines("The run's variables that it needs, without the layer's name before.", ["kernel", "bias"]),
}).openapi("CatalogLayer", { description: "A layer that models of losses may have." });

const CatalogFunction = z.object({
  name: z.string().openapi({ description: "Its name in the text of a loss.", example: "sum" }),
  topic: z.string().openapi({ description: "What kind of function it is.", example: "Reductions" }),
  summary: z.string().openapi({ description: "What it gives, in a sentence.", example: "The sum." }),
  signature: z.string().openapi({
    description: "How it is called: tensors, then options with their defaults.",
    example: "sum(x, axis=none, keepdims=false)",
  }),
  options: z.record(z.string(), z.string()).openapi({
    description: "What each option takes, in words.",
    example: { axis: "an axis, a list of axes or none", keepdims: "true or false" },
  }),
  differentiable: z.boolean().openapi({
    description: "Whether gradients go back through it.",
    example: true,
  }),
}).openapi("CatalogFunction", { description: "A function that losses may call." });

const members = (description: string) => z.array(CatalogMember).openapi({ description, example: [] });

const Catalog = z.object({
  optimizers: z.array(CatalogOptimizer).openapi({ description: "Update rules.", example: [] }),
  schedules: members("What may stand in place of a learning rate."),
  constraints: members("What holds variables in bounds."),
  initializers: members("What makes first values."),
  aggregators: members("What makes one gradient of several contributions."),
  staleness_weightings: members("What a contribution counts that was computed some iterations ago."),
  clip_norms: members("What moves the bound on the norms of contributions."),
  transformers: members("What gradients may go through."),
  functions: z.array(CatalogFunction).openapi({
    description: "What the text of a loss may call.",
    example: [],
  }),
  layers: z.array(CatalogLayer).openapi({ description: "What models of losses are made of.", example: [] }),
  losses: members("What a model's output and its targets may be compared by."),
}).openapi("Catalog", { description: "Every family with its members." });

export const route = createRoute({
  method: "get",
  path: "/v1/catalog",
  operationId: "get_catalog",
  "x-required-scope": "read",
  tags: ["catalog"],
  summary: "Get the catalogue",
  description:
    "Every member of every family with the JSON Schema of its config; optimizers with slots and formulas; and what " +
    "losses are made of. Its entity tag changes when an optimizer is registered or deleted.",
  parameters: [
    requestHeader("If-None-Match", "Answer 304 when the catalogue is still this one.", '"0f3a9c"'),
  ],
  request: { query: NoQuery },
  responses: answers({
    200: json("The catalogue.", Catalog, STATE_HEADERS),
    304: { description: "The catalogue is still that of `If-None-Match`.", headers: STATE_HEADERS },
  }, []),
});

interface Text {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}

/** The encoded catalogue, cached: a thousand optimizers take some megabytes, and they change seldom. */
const texts = new WeakMap<OptimizerFamily, Promise<Text>>();

function textOf(family: OptimizerFamily): Promise<Text> {
  let text = texts.get(family);
  if (!text) texts.set(family, text = makeText(family));
  return text;
}

async function makeText(family: OptimizerFamily): Promise<Text> {
  const optimizers = await catalogInTurns(family, () => new Promise((resolve) => setTimeout(resolve)));
  const bytes = new TextEncoder().encode(JSON.stringify({ ...optimizers, ...lossCatalog() }));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { bytes, etag: `"${digest.slice(0, 16).toHex()}"` };
}

export const register: Register = (app, { registry }) =>
  mount(app, route, async (c) => {
    const isKnown = knownTags(c);
    const { bytes, etag } = await textOf(registry.optimizers.family);
    c.header("ETag", etag);
    return isKnown(etag) ? c.body(null, 304) : answerJsonText(c, bytes);
  });
