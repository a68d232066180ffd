/** A step's or contribution's figures as JSON in pieces, with the new values of the variables if they are given. */
import type { ContributionAnswer, ManyNorms, StepAnswer, VariableFigures } from "../../src/run/api/steps.ts";
import type { NamedTensor } from "../../src/tensor.ts";
import { type JsonPieces, plainJson, recordJson, tensorJson } from "../../src/wire/json_writer.ts";
import { sayable } from "../http/answer.ts";

type Answer = StepAnswer | ContributionAnswer;

/** Norms in one piece. */
const PIECE = 512;

/** Whether these are the norms of many variables. */
export function areMany(figures: VariableFigures): figures is ManyNorms {
  return figures["norms"] instanceof Float64Array;
}

export function stepJson(step: Answer, tensors?: readonly NamedTensor[]): JsonPieces {
  const { variables } = step;
  const norms = () => areMany(variables) ? normsJson(variables) : plainJson(normsOf(variables));
  const members = Object.entries(numbersOf(step)).filter(([, value]) => value !== undefined);
  return recordJson(members.map(([name, value]) => {
    if (name !== "variables") return [name, plainJson(value)];
    return [name, tensors ? valuesJson(variables, tensors) : norms()];
  }));
}

/** The whole text at once, for a step of a short body. */
export function stepText(step: Answer): string {
  const { variables } = step;
  if (areMany(variables)) return [...stepJson(step)].join("");
  return JSON.stringify({ ...numbersOf(step), variables: normsOf(variables) });
}

/** The answer with numbers that JSON can say, but for the norms of its variables. */
export function numbersOf<A extends Answer>(step: A) {
  return {
    ...step,
    ..."learning_rate" in step && { learning_rate: sayable(step.learning_rate) },
    ..."groups" in step && step.groups && {
      groups: Object.fromEntries(
        Object.entries(step.groups).map(([name, { learning_rate: rate }]) =>
          [name, { learning_rate: typeof rate === "number" ? sayable(rate) : rate }] as const
        ),
      ),
    },
    gradient_norm: sayable(step.gradient_norm),
    clip_factor: sayable(step.clip_factor),
  };
}

export function normsOf(figures: Exclude<VariableFigures, ManyNorms>) {
  return Object.fromEntries(
    Object.entries(figures).map(([name, { gradient_norm }]) =>
      [name, { gradient_norm: sayable(gradient_norm) }] as const
    ),
  );
}

/** The text before each norm, by the list of variables, which stays the same from step to step. */
const textBefore = new WeakMap<ManyNorms["variables"], readonly string[]>();

/** `{NAME: {"gradient_norm": norm}, …}`, without an object for each. */
export function* normsJson({ variables, norms }: ManyNorms): Generator<string> {
  const before = textBefore.get(variables) ??
    variables.map(({ name }, place) =>
      `${place === 0 ? "{" : "},"}${JSON.stringify(name)}:{"gradient_norm":`
    );
  textBefore.set(variables, before);
  let text = "";
  for (let place = 0; place < norms.length; place++) {
    const norm = sayable(norms[place] as number);
    text += `${before[place]}${typeof norm === "string" ? JSON.stringify(norm) : norm}`;
    if (place % PIECE !== PIECE - 1) continue;
    yield text;
    text = "";
  }
  yield `${text}}}`;
}

/** Every variable with its new values. Only those that had a gradient have figures. */
function valuesJson(figures: VariableFigures, tensors: readonly NamedTensor[]): JsonPieces {
  const norms = areMany(figures)
    ? new Map(figures.variables.map(({ name }, place) => [name, figures.norms[place] as number]))
    : new Map(Object.entries(figures).map(([name, { gradient_norm }]) => [name, gradient_norm]));
  const valueOf = ({ name, values, shape }: NamedTensor): JsonPieces => {
    const norm = norms.get(name), own = tensorJson(values, shape);
    return recordJson([
      ...norm === undefined ? [] : [["gradient_norm", plainJson(sayable(norm))] as const],
      ["values", own] as const,
    ]);
  };
  return recordJson(lazily(tensors, (tensor) => [tensor.name, valueOf(tensor)]));
}

function* lazily<T, R>(list: readonly T[], make: (each: T) => R): Generator<R> {
  for (const each of list) yield make(each);
}
