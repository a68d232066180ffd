/** The schema of the body of every refusal. problem.ts makes the bodies. */
import { z } from "@hono/zod-openapi";
import { type ErrorCode, ERRORS } from "../../src/errors.ts";

/**
 * Codes in the order of the published document: client generators number the members of an enum by position.
 * A new code of the catalogue needs no line here: it follows these.
 */
const PUBLISHED: readonly ErrorCode[] = [
  "malformed_json",
  "malformed_safetensors",
  "malformed_encoding",
  "incomplete_body",
  "malformed_header",
  "unauthorized",
  "unknown_route",
  "unknown_run",
  "unknown_group",
  "unknown_slot",
  "method_not_allowed",
  "not_acceptable",
  "body_timeout",
  "run_exists",
  "unknown_optimizer",
  "optimizer_exists",
  "optimizer_in_use",
  "run_replaced",
  "key_in_progress",
  "contribution_repeated",
  "too_stale",
  "round_dropped",
  "contribution_withdrawn",
  "unknown_contribution",
  "not_withdrawable",
  "sparse_with_aggregator",
  "key_reused",
  "version_mismatch",
  "body_too_large",
  "unsupported_media_type",
  "invalid_request",
  "unknown_class",
  "invalid_config",
  "invalid_definition",
  "unknown_variable",
  "shape_mismatch",
  "dtype_mismatch",
  "index_out_of_range",
  "non_finite_gradient",
  "invalid_number",
  "no_gradients",
  "sparse_with_constraint",
  "sparse_with_noise",
  "invalid_loss",
  "loss_too_large",
  "loss_too_slow",
  "invalid_weights",
  "run_too_large",
  "too_many_runs",
  "too_many_optimizers",
  "out_of_memory",
  "busy",
  "shutting_down",
  "run_damaged",
  "storage_failed",
  "storage_full",
  "internal",
];
const codes = [...new Set([...PUBLISHED, ...Object.keys(ERRORS) as ErrorCode[]])];

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
