/**
 * Compiles the text of a loss to a graph: names become variables, inputs or earlier parts, and calls become nodes
 * with fitting shapes. Evaluates nothing. Errors are invalid_loss, with a place in the text, or loss_too_large.
 */
import type { Place } from "../../../kernels/language/tokens.ts";
import type { Shape } from "../../tensor.ts";
import { type Literal, MisfitError, type OptionValue, type TensorFunction } from "../functions/define.ts";
import { FUNCTIONS } from "../functions/mod.ts";
import { type Graph, GraphBuilder } from "./loss_graph.ts";
import { type CallExpression, type Expression, lossError, parseLoss } from "./loss_syntax.ts";

/** The variables and inputs that names may refer to. */
export interface Scope {
  readonly variables: ReadonlyMap<string, Shape>;
  readonly inputs: ReadonlyMap<string, Shape>;
  readonly elementsMax: number;
}

/** The graph of a loss. Throws invalid_loss, loss_too_large. */
export function compileLoss(text: string, scope: Scope): Graph {
  const compiler = new Compiler(scope);
  let loss = 0;
  for (const { target, expression } of parseLoss(text)) {
    loss = compiler.tensor(expression);
    if (target) compiler.name(target, loss);
  }
  return { nodes: compiler.builder.nodes, loss, updates: [] };
}

class Compiler {
  readonly builder: GraphBuilder;
  readonly #scope: Scope;
  /** Nodes by the names of parts, and of the leaves used so far. */
  readonly #parts = new Map<string, number>();
  readonly #leaves = new Map<string, number>();

  constructor(scope: Scope) {
    this.#scope = scope;
    this.builder = new GraphBuilder(scope.elementsMax);
  }

  name({ name, place }: { readonly name: string; readonly place: Place }, node: number): void {
    const { variables, inputs } = this.#scope;
    const taken = variables.has(name) ? "a variable" : inputs.has(name) ? "an input" : undefined;
    if (taken) throw lossError(`cannot assign to "${name}": it is ${taken}`, place);
    if (this.#parts.has(name)) throw lossError(`cannot assign to "${name}" twice`, place);
    this.#parts.set(name, node);
  }

  tensor(expression: Expression): number {
    switch (expression.kind) {
      case "number":
        return this.#at(expression.place, () => this.builder.constant(expression.value));
      case "name":
        return this.#at(expression.place, () => this.#find(expression.name, expression.place));
      case "list":
        throw lossError("expected a tensor, found a list", expression.place);
      case "call":
        return this.#call(expression);
    }
  }

  #find(name: string, place: Place): number {
    const known = this.#parts.get(name) ?? this.#leaves.get(name);
    if (known !== undefined) return known;
    const { variables, inputs } = this.#scope;
    const variable = variables.get(name), input = inputs.get(name);
    const shape = variable ?? input;
    if (!shape) throw lossError(`"${name}" is unknown, must be ${this.#names()}`, place);
    const node = this.builder.add({ kind: variable ? "variable" : "input", name, shape });
    this.#leaves.set(name, node);
    return node;
  }

  #names(): string {
    const { variables, inputs } = this.#scope;
    const names = [...this.#parts.keys(), ...inputs.keys(), ...variables.keys()];
    const shown = names.slice(0, 20).map((name) => /^[A-Za-z_]\w*$/.test(name) ? name : `'${name}'`);
    return `one of ${shown.join(", ")}${names.length > shown.length ? ", …" : ""}`;
  }

  #call(call: CallExpression): number {
    const row = FUNCTIONS.get(call.name);
    if (!row) throw lossError(`there is no function "${call.name}"`, call.place);
    const { tensors, rest } = this.#tensors(call, row);
    const options = this.#options(call, row, rest);
    return this.#at(call.place, () => this.builder.call(row.name, tensors, options), row.name);
  }

  #tensors({ name, args, place }: CallExpression, row: TensorFunction) {
    if (row.tensors[0] === "...") {
      const [list, ...rest] = args;
      if (list?.kind !== "list" || list.items.length === 0) {
        throw lossError(`${name} takes a list of tensors, as ${name}([a, b])`, list?.place ?? place);
      }
      return { tensors: list.items.map((item) => this.tensor(item)), rest };
    }
    const count = row.tensors.length;
    if (args.length < count) {
      const wanted = `${count} tensor${count === 1 ? "" : "s"} (${row.tensors.join(", ")})`;
      throw lossError(`${name} takes ${wanted}, found ${args.length}`, place);
    }
    return { tensors: args.slice(0, count).map((arg) => this.tensor(arg)), rest: args.slice(count) };
  }

  #options({ name, keywords, place }: CallExpression, row: TensorFunction, rest: readonly Expression[]) {
    const known = Object.keys(row.options);
    const takes = known.length > 0 ? `takes ${known.join(", ")}` : "takes no options";
    const surplus = rest[known.length];
    if (surplus) throw lossError(`${name} has too many arguments: it ${takes}`, surplus.place);
    const given: [string, Expression, Place][] = [
      ...rest.map((
        value,
        index,
      ): [string, Expression, Place] => [known[index] as string, value, value.place]),
      ...keywords.map(({ name, value, place }): [string, Expression, Place] => [name, value, place]),
    ];
    const options = new Map<string, OptionValue>();
    for (const [key, value, at] of given) {
      const option = Object.hasOwn(row.options, key) ? row.options[key] : undefined;
      if (!option) throw lossError(`${name} has no option "${key}": it ${takes}`, at);
      if (options.has(key)) throw lossError(`${name} is given ${key} twice`, at);
      const read = option.read(literal(value));
      if (read === undefined) throw lossError(`${key} must be ${option.wanted}`, value.place);
      options.set(key, read);
    }
    const missing = known.find((key) => row.options[key]?.initial === undefined && !options.has(key));
    if (missing !== undefined) {
      throw lossError(`${name} needs ${missing}: ${row.options[missing]?.wanted}`, place);
    }
    return Object.fromEntries(options);
  }

  /** Adds the place to the builder's errors. */
  #at(place: Place, add: () => number, name?: string): number {
    try {
      return add();
    } catch (error) {
      if (error instanceof MisfitError) {
        throw lossError(name ? `${name}: ${error.message}` : error.message, place);
      }
      throw error;
    }
  }
}

function literal(expression: Expression): Literal {
  switch (expression.kind) {
    case "number":
      return expression.value;
    case "name":
      return expression.name;
    case "list":
      return expression.items.map(literal);
    case "call":
      throw lossError("expected a literal, found an expression", expression.place);
  }
}
