/** What is told of a step that left numbers that are not finite: the answer's warnings, and the data of the event. */
import type { Increase } from "../step/non_finite_counts.ts";

/** Count of variables and slots that are named. */
const NAMED_MAX = 20;

const places = (count: number) => count === 1 ? "1 place" : `${count} places`;

export function divergenceWarnings(increases: readonly Increase[]): string[] {
  const told = increases.slice(0, NAMED_MAX).map(({ variable, slot, count, before }) => {
    const name = JSON.stringify(variable);
    const subject = slot === null ? `The variable ${name}` : `The slot ${JSON.stringify(slot)} of ${name}`;
    return `${subject} is not finite in ${places(count)} after the step, in ${before} before`;
  });
  const more = increases.length - told.length;
  return more > 0 ? [...told, `${more} more variables and slots hold more such numbers than before`] : told;
}

export function divergence(increases: readonly Increase[]) {
  const tensors = increases.slice(0, NAMED_MAX);
  return { tensors, more: increases.length - tensors.length };
}
