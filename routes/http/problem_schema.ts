/** The one body of all refusals, as the document has it. What is in it is made by problem.ts. */
import { z } from "@hono/zod-openapi";
import { type ErrorCode, ERRORS } from "../../src/errors.ts";

const codes = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];
export const ProblemSchema = z.object({
  type: z.string().openapi({
    description: "Identifies the kind of problem.",
    example: "urn:stepwell:problem:unknown_run",
  }),
  title: z.string().openapi({ description: "The kind of problem in a few words.", example: "No such run" }),
  status: z.int().openapi({ description: "The HTTP status.", example: 404 }),
  detail: z.string().openapi({
    description: "What cannot be done, the state now and the wanted one.",
    example: 'Cannot find run "demo": there are 0 runs',
  }),
  code: z.enum(codes).openapi({ description: "The kind of problem, for programs.", example: "unknown_run" }),
  request_id: z.string().openapi({
    description: "Names this request in the log.",
    example: "2b1ff0c6-5d9e-4c3a-9a53-0e0f6f0a8f11",
  }),
  issues: z.array(z.object({
    path: z.string().openapi({ description: "Where in the request.", example: "variables.0.shape" }),
    message: z.string().openapi({ description: "What is wrong there.", example: "Must be an array" }),
  })).openapi({ description: "Each thing that is wrong with the request.", example: [] }),
}).openapi("Problem", { description: "RFC 9457 problem details." });
