/**
 * The interface of this folder for the HTTP layer: compiles a request to a job and evaluates the job. Holds no run:
 * the caller passes the variables' shapes, then the values of the variables that the loss reads.
 */
import type { Settings } from "../config.ts";
import { refusal } from "../errors.ts";
import { elementCount, type NamedTensor, sameShape, type Shape, showShape } from "../tensor.ts";
import { isObject } from "../wire/tensor_source.ts";
import { readTensor } from "../wire/json_tensors.ts";
import type { Gate } from "../gate.ts";
import type { Releasable } from "../releasable.ts";
import { admission } from "./pool/admission.ts";
import { WorkerPool } from "./pool/worker_pool.ts";
import { compileLoss } from "./graph/compile_loss.ts";
import type { Graph } from "./graph/loss_graph.ts";
import { compileModel } from "./layers/model.ts";
import { addLoss } from "./layers/model_loss.ts";
import type { Evaluation, Gradient } from "./graph/messages.ts";
import { KeyedMutex } from "./pool/keyed_mutex.ts";

export type { Evaluation, Gradient };

/** A request as in a body. */
export interface LossRequest {
  /** An expression, or one of Keras' losses if there is a model. */
  readonly loss: unknown;
  /** The JSON of a model from Keras or tfjs. */
  readonly model?: unknown;
  /** Tensors by name, in any form of JSON bodies; a single tensor for a model with one input. */
  readonly inputs?: unknown;
  /** The targets of a model. */
  readonly targets?: unknown;
  readonly training?: boolean | undefined;
  /** Default: all trainable variables of the loss. */
  readonly var_list?: readonly string[] | undefined;
  readonly grad_loss?: unknown;
}

export interface VariableShape {
  readonly name: string;
  readonly shape: Shape;
  readonly role: "optimize" | "average";
}

/** A loss that fits the run's variables. */
export interface CompiledLoss {
  /** The variables whose values are needed, each once. */
  readonly names: readonly string[];
  readonly graph: Graph;
  readonly inputs: readonly NamedTensor[];
  readonly watched: readonly string[];
  /** Variables to differentiate with respect to that the loss does not read. */
  readonly absent: readonly string[];
  readonly lossGradient: Float32Array<ArrayBuffer> | undefined;
}

/** The number of largest losses whose inputs may be held together. */
const HELD_MAX = 4;

export class Losses {
  /** Keyed by the run's id. */
  readonly #mutex = new KeyedMutex();
  readonly #admission: Gate;
  readonly #pool: WorkerPool;
  readonly #elementsMax: number;

  constructor(settings: Settings) {
    this.#elementsMax = settings.STEPWELL_LOSS_ELEMENTS_MAX;
    this.#admission = admission({
      count: settings.STEPWELL_LOSSES_MAX,
      elements: HELD_MAX * this.#elementsMax,
    });
    this.#pool = new WorkerPool({
      workers: settings.STEPWELL_LOSS_WORKERS,
      seconds: settings.STEPWELL_LOSS_SECONDS,
      idleSeconds: settings.STEPWELL_IDLE_SECONDS,
    });
  }

  /**
   * Compiles a request, with all checks that need no values. Throws invalid_loss, loss_too_large, unknown_variable,
   * shape_mismatch, invalid_request, and what reading tensors throws.
   */
  compile(request: LossRequest, variables: readonly VariableShape[]): CompiledLoss {
    const { graph, inputs, frozen } = request.model === undefined
      ? expressionLoss(request, variables, this.#elementsMax)
      : modelLoss(request, variables, this.#elementsMax);
    const used = new Set(graph.nodes.flatMap((node) => node.kind === "input" ? [node.name] : []));
    const named = new Set(
      graph.nodes.flatMap((node) => node.kind === "variable" || node.kind === "rows" ? [node.name] : []),
    );
    const isWatched = ({ name, role }: VariableShape) =>
      named.has(name) && role === "optimize" && !frozen.has(name);
    const wanted = request.var_list
      ? checkList(request.var_list, variables)
      : variables.filter(isWatched).map(({ name }) => name);
    return {
      names: [...named],
      graph,
      inputs: inputs.filter(({ name }) => used.has(name)),
      watched: wanted.filter((name) => named.has(name)),
      absent: wanted.filter((name) => !named.has(name)),
      lossGradient: readLossGradient(request.grad_loss, graph),
    };
  }

  /** Acquires a place among the losses that wait or are being evaluated. Throws busy. */
  acquire({ graph }: CompiledLoss): Releasable {
    const held = graph.nodes.filter(({ kind }) => kind === "variable" || kind === "input");
    return this.#admission.acquireNow(held.reduce((sum, { shape }) => sum + elementCount(shape), 0));
  }

  /** Like {@link acquire}; also waits until all earlier holders of the same run have released it. */
  async acquireAlone(run: string, loss: CompiledLoss): Promise<Disposable> {
    using acquired = new DisposableStack();
    acquired.use(this.acquire(loss));
    acquired.use(await this.#mutex.acquire(run));
    return acquired.move();
  }

  /** Throws busy, loss_too_slow, shutting_down, index_out_of_range. */
  evaluate(
    { graph, inputs, watched, lossGradient }: CompiledLoss,
    { run, tensors: variables, iterations: iteration }: {
      readonly run: string;
      readonly tensors: readonly NamedTensor[];
      readonly iterations: number;
    },
  ): Promise<Evaluation> {
    return this.#pool.evaluate({ graph, variables, inputs, watched, lossGradient, iteration }, run);
  }

  close(): void {
    this.#pool.close();
  }
}

interface CompiledGraph {
  readonly graph: Graph;
  readonly inputs: readonly NamedTensor[];
  /** Variables that get gradients only if `var_list` names them. */
  readonly frozen: ReadonlySet<string>;
}

function expressionLoss(
  request: LossRequest,
  variables: readonly VariableShape[],
  elementsMax: number,
): CompiledGraph {
  const { loss, inputs: given = {} } = request;
  if (typeof loss !== "string") {
    throw refusal(
      "invalid_request",
      "take the loss",
      "loss",
      "must be an expression, or there must be a model",
    );
  }
  for (const key of ["targets", "training"] as const) {
    if (request[key] !== undefined) {
      throw refusal("invalid_request", "take the loss", key, "is for a loss of a model");
    }
  }
  const shapes = new Map(variables.map(({ name, shape }) => [name, shape]));
  if (!isObject(given)) {
    throw refusal("invalid_request", "take the loss", "inputs", "must be an object of tensors by name");
  }
  const inputs = Object.entries(given).map(([name, value]) => {
    const path = `inputs.${name}`;
    if (shapes.has(name)) {
      throw refusal(
        "invalid_request",
        "take the loss",
        path,
        "has the name of a variable, must have another",
      );
    }
    return { name, ...readTensor(value, path) };
  });
  return {
    graph: compileLoss(loss, { variables: shapes, inputs: shapesOf(inputs), elementsMax }),
    inputs,
    frozen: new Set(),
  };
}

/** The name of the targets among the inputs, which no layer can have. */
const TARGETS = "#targets";

function modelLoss(
  request: LossRequest,
  variables: readonly VariableShape[],
  elementsMax: number,
): CompiledGraph {
  const { model, loss, inputs: given, targets: wanted, training = true } = request;
  for (const key of ["inputs", "targets"] as const) {
    if (request[key] === undefined) throw refusal("invalid_request", "take the loss", key, "is missing");
  }
  const several = isObject(given) && !("base64" in given) ? Object.entries(given) : [["", given] as const];
  const inputs = several.map(([name, value]) => ({
    name,
    ...readTensor(value, name === "" ? "inputs" : `inputs.${name}`),
  }));
  const compiled = compileModel(model, {
    variables: new Map(variables.map((variable) => [variable.name, variable])),
    inputs: shapesOf(inputs),
    training,
    elementsMax,
  });
  const { builder, output, updates, penalties, frozen } = compiled;
  const target = { name: TARGETS, ...readTensor(wanted, "targets") };
  const targets = builder.add({ kind: "input", name: TARGETS, shape: target.shape });
  const node = addLoss(builder, loss, { output, targets, penalties });
  return { graph: { nodes: builder.nodes, loss: node, updates }, inputs: [...inputs, target], frozen };
}

const shapesOf = (tensors: readonly NamedTensor[]) =>
  new Map(tensors.map(({ name, shape }) => [name, shape]));

function checkList(names: readonly string[], variables: readonly VariableShape[]): readonly string[] {
  const roles = new Map(variables.map(({ name, role }) => [name, role]));
  names.forEach((name, at) => {
    const path = `var_list.${at}`, role = roles.get(name);
    if (role === undefined) {
      const known = [...roles.keys()].slice(0, 20).join(", ");
      throw refusal("unknown_variable", "take the loss", path, `is "${name}", must be one of ${known}`);
    }
    if (role === "average") {
      throw refusal("invalid_request", "take the loss", path, `is "${name}", which has the role "average"`);
    }
    if (names.indexOf(name) !== at) {
      throw refusal("invalid_request", "take the loss", path, `is "${name}" again, must be given once`);
    }
  });
  return names;
}

function readLossGradient(value: unknown, { nodes, loss }: Graph): Float32Array<ArrayBuffer> | undefined {
  if (value === undefined) return undefined;
  const { shape, values } = readTensor(value, "grad_loss");
  const wanted = nodes[loss]?.shape ?? [];
  if (sameShape(shape, wanted)) return values;
  const message = `has shape ${showShape(shape)}, must be ${showShape(wanted)} as the loss`;
  throw refusal("shape_mismatch", "take the loss", "grad_loss", message);
}

/** The quantity that is minimized: the sum of the loss's elements. */
export function totalOf({ loss }: Evaluation): number {
  return loss.values.length === 1
    ? loss.values[0] as number
    : Math.fround(loss.values.reduce((sum, x) => sum + x, 0));
}
