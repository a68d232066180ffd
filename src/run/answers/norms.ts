/** The norms of a step's gradients by variable, as its answer has them. */
import type { ManyNorms, VariableFigures } from "../api/steps.ts";

/** From this count on, answers keep numbers rather than an object for each variable. */
const MANY = 1024;

/** `norms` are in the order of `variables`. */
export function figuresOfVariables(
  variables: readonly { readonly name: string }[],
  norms: Float64Array | readonly number[],
): VariableFigures {
  if (variables.length >= MANY) return new Norms(variables, Float64Array.from(norms));
  return Object.fromEntries(
    variables.map(({ name }, place) => [name, { gradient_norm: norms[place] as number }]),
  );
}

export function areMany(figures: VariableFigures): figures is ManyNorms {
  return figures instanceof Norms;
}

class Norms implements ManyNorms {
  readonly variables: readonly { readonly name: string }[];
  readonly norms: Float64Array;

  constructor(variables: readonly { readonly name: string }[], norms: Float64Array) {
    this.variables = variables;
    this.norms = norms;
  }

  toJSON(): Record<string, { gradient_norm: number }> {
    return Object.fromEntries(
      this.variables.map(({ name }, place) => [name, { gradient_norm: this.norms[place] as number }]),
    );
  }
}
