/** The sum of the contributions, in the order in which they were accepted: what Keras does over replicas. */
import { z } from "zod";
import type { Member } from "../family.ts";

export const sum: Member = {
  class_name: "Sum",
  summary: "Adds the contributions.",
  config: z.strictObject({}),
};
