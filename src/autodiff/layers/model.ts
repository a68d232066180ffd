/**
 * Compiles a model to a graph. Its weights are the run's variables `LAYER/WEIGHT`, so the model itself has no values.
 * Evaluates nothing.
 */
import { z } from "zod";
import { sameShape, type Shape, showShape } from "../../tensor.ts";
import { tell } from "../../families/mechanism/issues.ts";
import { MisfitError } from "../functions/define.ts";
import { type Graph, GraphBuilder } from "../graph/loss_graph.ts";
import { LAYERS } from "./mod.ts";
import type { LayerCall } from "./layer.ts";
import { WITH_NUMBERS } from "./merging.ts";
import { penalty, regularizerOf } from "./regularizers.ts";
import {
  isModel,
  type LayerSpec,
  modelError,
  type ModelSpec,
  readLayer,
  readModel,
  readTopology,
  type Source,
} from "./topology.ts";

export interface ModelScope {
  readonly variables: ReadonlyMap<string, { readonly shape: Shape; readonly role: "optimize" | "average" }>;
  /** A single input under "", or each input under the name of its input layer. */
  readonly inputs: ReadonlyMap<string, Shape>;
  readonly training: boolean;
  readonly elementsMax: number;
}

export interface ModelGraph {
  readonly builder: GraphBuilder;
  readonly output: number;
  readonly updates: Graph["updates"];
  /** The terms that regularizers add to the loss. */
  readonly penalties: readonly number[];
  /** The variables of layers that are not trainable. */
  readonly frozen: ReadonlySet<string>;
}

/** The most calls of layers in one model: nested models in a hostile topology may call each other repeatedly. */
export const CALLS_MAX = 2000;
/** The most calls waiting for their inputs, nested models included, so that the call stack suffices. */
const OPEN_MAX = 1200;

/** The graph up to the model's output. Throws invalid_loss, loss_too_large. */
export function compileModel(topology: unknown, scope: ModelScope): ModelGraph {
  const compiler = new ModelCompiler(scope);
  const model = readTopology(topology);
  const inputs = compiler.inputs(model);
  const output = compiler.model(model, inputs, "");
  const { builder, updates, penalties, frozen } = compiler;
  return { builder, output, updates, penalties, frozen };
}

class ModelCompiler {
  readonly builder: GraphBuilder;
  readonly updates: { name: string; node: number }[] = [];
  readonly penalties: number[] = [];
  readonly frozen = new Set<string>();
  readonly #scope: ModelScope;
  readonly #weights = new Map<string, { readonly node: number; readonly owner: string }>();
  #calls = 0;
  #open = 0;

  constructor(scope: ModelScope) {
    this.#scope = scope;
    this.builder = new GraphBuilder(scope.elementsMax);
  }

  inputs({ inputs }: ModelSpec): number[] {
    const given = this.#scope.inputs;
    const wanted = inputs.length === 1 && given.has("") ? [""] : inputs;
    const missing = wanted.find((name) => !given.has(name));
    if (missing !== undefined || wanted.length !== given.size) {
      const names = inputs.map((name) => `"${name}"`).join(", ");
      const problem = inputs.length === 1
        ? `the model has one input: inputs must be a tensor, or an object with ${names}`
        : `the model has ${inputs.length} inputs: inputs must be an object with ${names}`;
      throw modelError(problem, "inputs");
    }
    return wanted.map((name) => this.builder.add({ kind: "input", name, shape: given.get(name) as Shape }));
  }

  model({ layers, inputs, output }: ModelSpec, given: readonly number[], path: string): number {
    const byName = new Map(layers.map((layer) => [layer.name, layer]));
    const done = new Map<string, number>();
    const open = new Set<string>();
    const value = ({ layer: name, call }: Source): number => {
      const key = `${call} ${name}`, known = done.get(key);
      if (known !== undefined) return known;
      const layer = byName.get(name);
      if (!layer) throw modelError(`there is no layer "${path}${name}"`);
      if (open.has(key)) throw modelError(`the layer "${path}${name}" feeds itself`);
      if (++this.#open > OPEN_MAX) throw modelError(`its layers feed each other more than ${OPEN_MAX} deep`);
      open.add(key);
      const node = layer.className === "InputLayer"
        ? this.#input(layer, given[inputs.indexOf(name)])
        : this.#layer(
          layer,
          (layer.calls[call] ?? this.#noCall(path + name, call))
            .map((input) => typeof input === "number" ? this.#constant(layer, input, path) : value(input)),
          path,
        );
      open.delete(key);
      this.#open -= 1;
      done.set(key, node);
      return node;
    };
    return value(output);
  }

  /** The number in an operation, `x + 3.0`. */
  #constant({ name, className, calls }: LayerSpec, value: number, path: string): number {
    if (!Number.isFinite(Math.fround(value))) {
      throw modelError(`the layer "${path}${name}" is called with ${value}, must be within float32's range`);
    }
    const isAlone = calls.some((call) => call.every((input) => typeof input === "number"));
    if (!WITH_NUMBERS.has(className) || isAlone) {
      const names = [...WITH_NUMBERS].join(", ");
      throw modelError(
        `the layer "${path}${name}" is a ${className} that is called with the number ${value}: only ${names} take ` +
          "a constant, beside a tensor",
      );
    }
    return this.builder.constant(value);
  }

  #noCall(name: string, call: number): never {
    throw modelError(`the layer "${name}" has no call ${call}`);
  }

  #input({ name, config }: LayerSpec, node: number | undefined): number {
    if (node === undefined) throw modelError(`the input layer "${name}" is not one of its inputs`);
    const declared = config["batch_input_shape"] ?? config["batch_shape"];
    const shape = this.builder.shape(node);
    const fits = !Array.isArray(declared) ||
      declared.length === shape.length && declared.every((n, at) => n === null || n === shape[at]);
    if (fits) return node;
    const wanted = declared.map((n: unknown) => n ?? "any").join(", ");
    throw modelError(`the input has shape ${showShape(shape)}, must be [${wanted}]`, "inputs");
  }

  #layer(spec: LayerSpec, inputs: readonly number[], path: string): number {
    const { name, className, config } = spec;
    if (++this.#calls > CALLS_MAX) throw modelError(`its layers are called more than ${CALLS_MAX} times`);
    if (isModel(className)) return this.model(readModel(className, config), inputs, `${path}${name}/`);
    const layer = LAYERS.get(className);
    const at = `the layer "${path}${name}"`;
    if (!layer) throw modelError(`${at} is a ${className}, must be one of ${[...LAYERS.keys()].join(", ")}`);
    if (layer.arity === "one" ? inputs.length !== 1 : inputs.length < 2) {
      const wanted = layer.arity === "one" ? "one" : "two or more";
      throw modelError(`${at} has ${inputs.length} inputs, must have ${wanted}`);
    }
    const parsed = layer.config.safeParse(config);
    if (!parsed.success) {
      throw modelError(`${at}: ${explain(parsed.error, config, Object.keys(layer.schema.shape))}`);
    }
    try {
      return layer.build(this.#call(spec, inputs, path), parsed.data);
    } catch (error) {
      if (error instanceof MisfitError) throw modelError(`${at}: ${error.message}`);
      throw error;
    }
  }

  #call({ name, config }: LayerSpec, inputs: readonly number[], path: string): LayerCall {
    const { builder } = this;
    const isTrained = config["trainable"] !== false;
    return {
      name,
      inputs,
      // As in Keras: a batch normalization that is not trainable does not use the batch.
      training: this.#scope.training && isTrained,
      // Keras 2 writes dtypes as strings.
      generation: typeof config["dtype"] === "object" && config["dtype"] !== null ? 3 : 2,
      shape: (node) => builder.shape(node),
      constant: (value) => builder.constant(value),
      noise: (shape, seed) => builder.add({ kind: "noise", shape, seed: `${seed} ${name} ${this.#calls}` }),
      call: (...args) => builder.call(...args),
      weight: (weight, shape, key) => {
        const full = `${name}/${weight}`, isNew = !this.#weights.has(full);
        const node = this.#weight(full, shape, { role: "optimize", owner: path + name });
        if (!isTrained) this.frozen.add(full);
        else if (isNew) {
          this.penalties.push(...penalty(builder, node, { key: key ?? regularizerOf(weight), config }));
        }
        return node;
      },
      average: (weight, shape, update) => {
        const full = `${name}/${weight}`;
        const node = this.#weight(full, shape, { role: "average", owner: path + name });
        if (update && !this.updates.some((each) => each.name === full)) {
          this.updates.push({ name: full, node: update(node) });
        }
        return node;
      },
      wrapped: (layer, name, inputs) => {
        const spec = readLayer(layer);
        const trainable = isTrained && spec.config["trainable"] !== false;
        return this.#layer({ ...spec, name, config: { ...spec.config, trainable } }, inputs, path);
      },
    };
  }

  #weight(
    name: string,
    shape: Shape,
    { role, owner }: { readonly role: "optimize" | "average"; readonly owner: string },
  ): number {
    const known = this.#weights.get(name);
    if (known && known.owner !== owner) {
      throw new MisfitError(
        `its variable "${name}" belongs to the layer "${known.owner}", must have another name`,
      );
    }
    const variable = this.#scope.variables.get(name);
    const wanted = `of shape ${showShape(shape)}${role === "average" ? ' and role "average"' : ""}`;
    if (!variable) throw new MisfitError(`the run has no variable "${name}", must have one ${wanted}`);
    if (!sameShape(variable.shape, shape) || (role === "average" && variable.role !== role)) {
      const is = `has shape ${showShape(variable.shape)} and role "${variable.role}"`;
      throw new MisfitError(`the variable "${name}" ${is}, must be ${wanted}`);
    }
    const node = known?.node ?? this.builder.add({ kind: "variable", name, shape });
    this.#weights.set(name, { node, owner });
    return node;
  }
}

/** Describes in one line the problem of a config that may have the keys `allowed`. */
export function explain(error: z.ZodError, config: unknown, allowed: readonly string[]): string {
  const problems = error.issues.flatMap((issue) =>
    tell(issue, config, { holder: "it", allowed }).map(({ keys, message }) =>
      `${keys.map(String).join(".") || "its config"} ${message}`
    )
  );
  return problems.slice(0, 5).join("; ").slice(0, 1000);
}
