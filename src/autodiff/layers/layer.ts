/**
 * The type of a model's layer: its config, and how it builds nodes of a graph. The tables beside this file are the
 * whitelist. Layers own no weights: those are variables of the run, named `LAYER/WEIGHT`.
 */
import { z } from "zod";
import type { Shape } from "../../tensor.ts";
import { ACTIVATIONS } from "../functions/activations.ts";
import type { OptionValue } from "../functions/define.ts";

/** One call of a layer. */
export interface LayerCall {
  readonly name: string;
  /** True when training: dropout drops, and batch normalization uses the batch. */
  readonly training: boolean;
  /** The major version of Keras that wrote the model. 3 names some things differently from 2 (and tfjs). */
  readonly generation: 2 | 3;
  readonly inputs: readonly number[];
  shape(node: number): Shape;
  constant(value: number): number;
  /** Uniform random numbers, different in every iteration. */
  noise(shape: Shape, seed: number): number;
  call(name: string, args: readonly number[], options?: Readonly<Record<string, OptionValue>>): number;
  /** A variable of the run; `regularizer` is its key in the config. Throws MisfitError if none has this shape. */
  weight(name: string, shape: Shape, regularizer?: string): number;
  /** A variable of role "average". `update` builds the node of its new value. */
  average(name: string, shape: Shape, update?: (now: number) => number): number;
  /** Calls a layer that this one wraps. `layer` is as Keras serializes it; `name` is the prefix of its weights. */
  wrapped(layer: unknown, name: string, inputs: readonly number[]): number;
}

export interface Layer {
  readonly className: string;
  readonly does: string;
  /** The names of its weights, for the docs. */
  readonly weights: readonly string[];
  /** The number of inputs of a call. */
  readonly arity: "one" | "several";
  readonly config: z.ZodType;
  /** The schema of the keys that have a meaning here, after `config` has dropped the others. */
  readonly schema: z.ZodObject;
  readonly build: (call: LayerCall, config: unknown) => number;
}

interface Definition<S extends z.ZodRawShape> {
  readonly does: string;
  readonly weights?: readonly string[];
  readonly several?: true;
  readonly config: S;
  readonly build: (call: LayerCall, config: z.output<z.ZodObject<S>>) => number;
}

export function layer<S extends z.ZodRawShape>(
  className: string,
  { several, weights, config, ...rest }: Definition<S>,
): Layer {
  const schema = z.strictObject(config);
  return {
    ...rest,
    className,
    weights: weights ?? [],
    arity: several ? "several" : "one",
    config: z.preprocess(relevant, schema),
    schema,
  } as unknown as Layer;
}

/** Ignored keys: those in every config of Keras, those for the run's variables, and those that model.ts handles. */
const PASSED_OVER =
  /^(name|trainable|dynamic|batch_input_shape|batch_shape|input_shape|input_dtype|build_config|sparse|ragged|autocast|.+_initializer|.+_constraint|(?!activity).+_regularizer)$/;
function relevant(config: unknown): unknown {
  if (typeof config !== "object" || config === null || Array.isArray(config)) return config;
  const entries = Object.entries(config).filter(([key, value]) =>
    !PASSED_OVER.test(key) && !(key === "dtype" && isFloat32(value)) && key !== "input_length" &&
    // tfjs writes null for an option that was not given. A null activation means none.
    (value !== null || key.endsWith("activation"))
  );
  return Object.fromEntries(entries);
}

function isFloat32(dtype: unknown): boolean {
  const name = typeof dtype === "object" && dtype !== null && "config" in dtype
    ? (dtype.config as { name?: unknown } | null)?.name
    : dtype;
  return name === null || name === "float32" || name === "int32" || name === "int64";
}

export const count = () => z.int().min(1).max(2 ** 24);
export const yes = (initial: boolean) => z.boolean().default(initial);
export const unit = (initial: number) => z.number().min(0).max(1).default(initial);

/** One number for both dimensions, or two. */
export const pair = () => z.union([count().transform((n) => [n, n]), z.array(count()).length(2)]);
/** A size of one dimension as Keras writes it: a number, or a list of one. */
export const single = () => z.union([count(), z.array(count()).length(1).transform(([n]) => n as number)]);

export const padding = () => z.enum(["valid", "same"]).default("valid");
export const channelsLast = () => z.union([z.literal("channels_last"), z.null()]).default("channels_last");
/** The only supported value of a Keras option. */
export const only = <T extends string | number | boolean>(value: T) =>
  z.literal(value).default(value as never);

/** The names of activations: general functions that also serve as activations, then the others. */
const NAMES = [
  "linear",
  "exponential",
  "tanh",
  "sigmoid",
  "softplus",
  ...ACTIVATIONS.map(({ name }) => name),
];

export const activation = (initial = "linear") => z.union([z.enum(NAMES), z.null()]).default(initial);

export function activate(call: LayerCall, x: number, name: string | null): number {
  if (name === null || name === "linear") return x;
  if (name === "hard_sigmoid" && call.generation === 3) {
    const six = call.call("relu6", [call.call("add", [x, call.constant(3)])]);
    return call.call("divide", [six, call.constant(6)]);
  }
  return call.call(name === "exponential" ? "exp" : name, [x]);
}

export const inputOf = ({ inputs }: LayerCall): number => inputs[0] as number;
export const last = (shape: Shape): number => shape.at(-1) as number;
