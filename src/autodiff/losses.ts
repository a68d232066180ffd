/**
 * What the HTTP layer asks for losses: a request checked and made a job, the job evaluated. Holds no run: it is told
 * the variables' shapes, then asks for the values of those that the loss names.
 */
import type { Settings } from "../config.ts";
import { StepwellError } from "../errors.ts";
import { type NamedTensor, sameShape, type Shape, showShape } from "../tensor.ts";
import { readTensor } from "../wire/tensors.ts";
import { Evaluators } from "./evaluators.ts";
import { compileLoss } from "./expression.ts";
import type { Graph } from "./graph.ts";
import type { Evaluation, Gradient } from "./messages.ts";
import { Turns } from "./turns.ts";

export type { Evaluation, Gradient };

/** As it stands in a body. */
export interface LossRequest {
  readonly loss: string;
  /** Tensors by name, in any form that JSON bodies take. */
  readonly inputs?: Readonly<Record<string, unknown>> | undefined;
  /** Absent: all variables of the loss that may be optimized. */
  readonly var_list?: readonly string[] | undefined;
  readonly grad_loss?: unknown;
}

export interface VariableShape {
  readonly name: string;
  readonly shape: Shape;
  readonly role: "optimize" | "average";
}

/** A loss that fits the run's variables. */
export interface PreparedLoss {
  /** The variables whose values it needs, each once. */
  readonly names: readonly string[];
  readonly graph: Graph;
  readonly inputs: readonly NamedTensor[];
  readonly watched: readonly string[];
  /** Variables to differentiate by that the loss does not name. */
  readonly absent: readonly string[];
  readonly lossGradient: Float32Array<ArrayBuffer> | undefined;
}

export class Losses {
  readonly turns: Turns;
  readonly #evaluators: Evaluators;
  readonly #elementsMax: number;

  constructor(settings: Settings) {
    this.turns = new Turns(settings.STEPWELL_LOSS_WAITING_MAX);
    this.#evaluators = new Evaluators({
      workers: settings.STEPWELL_LOSS_WORKERS,
      seconds: settings.STEPWELL_LOSS_SECONDS,
      waiting: settings.STEPWELL_LOSS_WAITING_MAX,
    });
    this.#elementsMax = settings.STEPWELL_LOSS_ELEMENTS_MAX;
  }

  /** Checks all that can be checked without values. Throws invalid_loss, loss_too_large, unknown_variable, shape_mismatch, invalid_request, and what reading tensors throws. */
  prepare(request: LossRequest, variables: readonly VariableShape[]): PreparedLoss {
    const shapes = new Map(variables.map(({ name, shape }) => [name, shape]));
    const inputs = readInputs(request.inputs ?? {}, shapes);
    const graph = compileLoss(request.loss, {
      variables: shapes,
      inputs: new Map(inputs.map(({ name, shape }) => [name, shape])),
      elementsMax: this.#elementsMax,
    });
    const used = new Set(graph.nodes.flatMap((node) => node.kind === "input" ? [node.name] : []));
    const named = new Set(
      graph.nodes.flatMap((node) => node.kind === "variable" || node.kind === "rows" ? [node.name] : []),
    );
    const wanted = request.var_list
      ? checkList(request.var_list, variables)
      : variables.filter(({ name, role }) => named.has(name) && role === "optimize").map(({ name }) => name);
    return {
      names: [...named],
      graph,
      inputs: inputs.filter(({ name }) => used.has(name)),
      watched: wanted.filter((name) => named.has(name)),
      absent: wanted.filter((name) => !named.has(name)),
      lossGradient: readLossGradient(request.grad_loss, graph),
    };
  }

  /** Throws busy, loss_too_slow, shutting_down, index_out_of_range. */
  evaluate(loss: PreparedLoss, variables: readonly NamedTensor[]): Promise<Evaluation> {
    const { graph, inputs, watched, lossGradient } = loss;
    return this.#evaluators.evaluate({ graph, variables, inputs, watched, lossGradient });
  }

  close(): void {
    this.#evaluators.close();
  }
}

function readInputs(
  inputs: Readonly<Record<string, unknown>>,
  variables: ReadonlyMap<string, Shape>,
): NamedTensor[] {
  return Object.entries(inputs).map(([name, value]) => {
    const path = `inputs.${name}`;
    if (variables.has(name)) {
      throw refusal("invalid_request", path, "has the name of a variable, must have another");
    }
    return { name, ...readTensor(value, path) };
  });
}

function checkList(names: readonly string[], variables: readonly VariableShape[]): readonly string[] {
  const roles = new Map(variables.map(({ name, role }) => [name, role]));
  names.forEach((name, at) => {
    const path = `var_list.${at}`, role = roles.get(name);
    if (role === undefined) {
      const known = [...roles.keys()].slice(0, 20).join(", ");
      throw refusal("unknown_variable", path, `is "${name}", must be one of ${known}`);
    }
    if (role === "average") {
      throw refusal("invalid_request", path, `is "${name}", which has the role "average"`);
    }
    if (names.indexOf(name) !== at) {
      throw refusal("invalid_request", path, `is "${name}" again, must be given once`);
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
  throw refusal("shape_mismatch", "grad_loss", message);
}

function refusal(
  code: "invalid_request" | "unknown_variable" | "shape_mismatch",
  path: string,
  problem: string,
) {
  return new StepwellError(code, `Cannot take the loss: ${path} ${problem}`, [{ path, message: problem }]);
}

/** What is minimized: the sum of the loss's elements. */
export function totalOf({ loss }: Evaluation): number {
  return loss.values.length === 1
    ? loss.values[0] as number
    : Math.fround(loss.values.reduce((sum, x) => sum + x, 0));
}
