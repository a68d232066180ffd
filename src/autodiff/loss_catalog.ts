/**
 * The catalogue of the loss language, as data for people and programs: functions, operators, layers, losses of
 * models. It derives from the tables that the compiler reads.
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
  /** A call with all options: `sum(x, axis=none, keepdims=false)`. Options without a default are required. */
  readonly signature: string;
  /** The accepted values of each option in words, in order. */
  readonly options: Readonly<Record<string, string>>;
  /** Whether gradients flow back through it. */
  readonly differentiable: boolean;
}

export interface CatalogLayer {
  readonly class_name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  /** JSON Schema (2020-12) of the config keys that are read. */
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

/** The whole catalogue, in the order of the tables. */
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
  // zod omits the default of a transformed value, such as a pair that may be given as one number.
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

/** A value as a literal of the loss language. */
function literal(value: OptionValue): string {
  if (value === null) return "none";
  return Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
}
