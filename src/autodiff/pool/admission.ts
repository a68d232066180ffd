/**
 * Limits the losses that wait or are evaluated at a time, and the numbers that they hold together. A loss beyond the
 * limits is refused at once.
 */
import { Gate } from "../../gate.ts";

interface Bounds {
  readonly count: number;
  readonly elements: number;
}

/** A gate where the weight of a loss is the count of numbers that it holds. */
export function admission({ count: countMax, elements: elementsMax }: Bounds): Gate {
  return new Gate({
    count: countMax,
    weight: elementsMax,
    refusal: ({ count, weight }) =>
      `Cannot evaluate this loss: ${count} others with ${weight} numbers are waiting or being ` +
      `evaluated, must leave room among ${countMax} and ${elementsMax} numbers`,
  });
}
