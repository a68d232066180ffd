/**
 * How many losses may wait or be evaluated at a time, and how many numbers they hold together: beyond that they are
 * refused at once.
 */
import { Gate } from "../../gate.ts";

interface Bounds {
  readonly count: number;
  readonly elements: number;
}

/** A loss weighs the numbers that it holds. */
export function admission({ count: countMax, elements: elementsMax }: Bounds): Gate {
  return new Gate({
    count: countMax,
    weight: elementsMax,
    refusal: ({ count, weight }) =>
      `Cannot evaluate this loss: ${count} others with ${weight} numbers are waiting or being ` +
      `evaluated, must leave room among ${countMax} and ${elementsMax} numbers`,
  });
}
