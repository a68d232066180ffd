/** The family of aggregators: one line a member. */
import { Family } from "../family.ts";
import { sum } from "./sum.ts";

export const aggregators = new Family("aggregator", [
  sum,
]);
