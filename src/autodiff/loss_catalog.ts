/**
 * What a loss may say, as data for people and programs: functions, operators, layers, losses of models. Nothing here is
 * written by hand; it derives from the tables that the compiler reads.
 */
import { z } from "zod";
import type { OptionValue, TensorFunction } from "./functions/define.ts";
import { TOPICS } from "./functions/mod.ts";
import { LAYERS } from "./layers/mod.ts";
import { LOSS_CLASSES } from "./layers/model_loss.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

export interface CatalogFunction {
  readonly name: string;
  readonly topic: string;
  readonly summary: string;
  /** As it is called: `sum(x, axis=none, keepdims=false)`; what has no default must be given. */
  readonly signature: string;
  /** What each option takes, in words, in their order. */
  readonly options: Readonly<Record<string, string>>;
  /** Whether gradients go back through it. */
  readonly differentiable: boolean;
}

export interface CatalogLayer {
  readonly class_name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  /** JSON Schema (2020-12) of what is read of its config. */
  readonly config: JsonSchema;
  /** The variables that the run must have are LAYER/WEIGHT. */
  readonly weights: readonly string[];
}

export type CatalogLoss = Omit<CatalogLayer, "weights">;

export interface LossCatalog {
  readonly functions: readonly CatalogFunction[];
  readonly layers: readonly CatalogLayer[];
  readonly losses: readonly CatalogLoss[];
}

let made: LossCatalog | undefined;

/** All of it, in the order of the tables. */
export function lossCatalog(): LossCatalog {
  return made ??= {
    functions: Object.entries(TOPICS).flatMap(([topic, rows]) =>
      rows.map((row) => describeFunction(row, topic))
    ),
    layers: [...LAYERS.values()].map(({ className, does, schema, weights }) => ({
      class_name: className,
      aliases: [],
      summary: does,
      config: schemaOf(schema),
      weights,
    })),
    losses: LOSS_CLASSES.map(({ className, aliases, row, config, keys }) => ({
      class_name: className,
      aliases,
      summary: row.does,
      config: schemaOf(z.strictObject(Object.fromEntries(keys.map((key) => [key, config.shape[key]])))),
    })),
  };
}

function schemaOf(schema: z.ZodObject): JsonSchema {
  const { properties, ...rest } = z.toJSONSchema(schema, { io: "input" });
  // Of what is transformed, as pairs are that may be given as one number, zod does not tell the default.
  const named = Object.entries(properties ?? {}).map(([key, property]) => {
    const field = schema.shape[key];
    const initial = field instanceof z.ZodDefault ? { default: field.def.defaultValue } : {};
    return [key, { ...initial, ...(property as JsonSchema) }];
  });
  return { ...rest, properties: Object.fromEntries(named) };
}

function describeFunction({ name, does, tensors, options, gradient }: TensorFunction, topic: string) {
  const listed = tensors[0] === "..." ? ["[a, b, …]"] : tensors;
  const named = Object.entries(options).map(([key, { initial }]) =>
    initial === undefined ? key : `${key}=${literal(initial)}`
  );
  return {
    name,
    topic,
    summary: does,
    signature: `${name}(${[...listed, ...named].join(", ")})`,
    options: Object.fromEntries(Object.entries(options).map(([key, { wanted }]) => [key, wanted])),
    differentiable: gradient === "flows",
  };
}

/** As the text of a loss has it. */
function literal(value: OptionValue): string {
  if (value === null) return "none";
  return Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
}
