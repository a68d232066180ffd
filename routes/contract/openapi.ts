/**
 * The OpenAPI documents of an app: 3.1 and, for older generators, 3.0.3. Everything except the few lines here comes
 * from the operations.
 */
import type { App } from "../http/context.ts";
import { HEADER_COMPONENTS } from "../http/headers.ts";
import { TENSOR_FORMS } from "./tensor_schemas.ts";

/** The version of the HTTP contract. Paths begin with its major number. */
export const API_VERSION = "1.0.0";

const TAGS = [
  { name: "runs", description: "Training runs." },
  { name: "steps", description: "Gradients in, steps applied." },
  { name: "rounds", description: "Contributions of many clients on their way to a step." },
  { name: "variables", description: "Values of a run's variables." },
  { name: "slots", description: "Values of the optimizer's slots." },
  { name: "weights", description: "Keras' get_weights and set_weights." },
  { name: "optimizer", description: "Config and hyperparameters." },
  { name: "optimizers", description: "Optimizers of one's own, as formulas." },
  { name: "checkpoint", description: "A whole run as a file." },
  { name: "catalog", description: "What runs can be made of." },
  { name: "service", description: "Health, figures, this document." },
];

const serversAt = (url: string) => [{ url, description: "The service that serves this document." }];

const CONFIG = {
  info: {
    title: "Stepwell",
    version: API_VERSION,
    summary: "Optimizer steps as a service",
    description:
      "Clients compute gradients and send them; the service holds variables and slots and applies the " +
      "optimizer, bit for bit as Keras' legacy optimizers on TensorFlow. Every answer also has the headers " +
      "Content-Security-Policy, Cross-Origin-Resource-Policy, Referrer-Policy, X-Content-Type-Options and " +
      "X-Frame-Options, for browsers. With STEPWELL_CORS_ORIGINS it has those of CORS and `Vary: Origin` too, with " +
      "STEPWELL_REQUESTS_PER_SECOND also `RateLimit-Policy` and `RateLimit`. What a token may do is in " +
      "`x-required-scope`: a scope includes those before it in `read`, `contribute`, `write`, `admin`.",
    license: { name: "MIT", identifier: "MIT" },
  },
  servers: serversAt("/"),
  tags: TAGS,
  security: [{ bearer: [] }],
};

/** Adds the components that operations refer to but do not define. */
export function describeShared(app: App): void {
  for (const [name, schema] of Object.entries(TENSOR_FORMS)) {
    app.openAPIRegistry.registerComponent("schemas", name, schema as never);
  }
  for (const [name, header] of HEADER_COMPONENTS) {
    app.openAPIRegistry.registerComponent("headers", name, header as never);
  }
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description:
      "STEPWELL_TOKEN, or a token of STEPWELL_TOKENS that has the operation's `x-required-scope` and, where the path " +
      "names a run, that run. A service without both settings asks for none.",
  });
}

export function openapi31(app: App): Json {
  const { webhooks: _none, ...document } = app.getOpenAPI31Document({ ...CONFIG, openapi: "3.1.0" });
  return rewritten(document, wordsBeside) as Json;
}

export function openapi30(app: App): Json {
  const { summary: _newer, ...info } = CONFIG.info;
  const license = { name: "MIT", url: "https://opensource.org/license/mit" };
  const document = app.getOpenAPIDocument({ ...CONFIG, info: { ...info, license }, openapi: "3.0.3" });
  return rewritten(document, (value) => wordsBeside(withOldNull(value))) as Json;
}

/** A document for a caller who finds the service under a path prefix. */
export function servedAt(document: Json, prefix: string): Json {
  return prefix === "" ? document : { ...document, servers: serversAt(prefix) };
}

type Json = Readonly<Record<string, unknown>>;

/** Replaces every object of a document, inner ones first, by the result of `rule`. */
function rewritten(value: unknown, rule: (value: Json) => Json): unknown {
  if (Array.isArray(value)) return value.map((each) => rewritten(each, rule));
  if (typeof value !== "object" || value === null) return value;
  return rule(Object.fromEntries(Object.entries(value).map(([key, each]) => [key, rewritten(each, rule)])));
}

const OLD_NULL: Json = { type: "string", nullable: true, enum: [null] };

/**
 * OpenAPI 3.0 has no type null, nor the `nullable` without a type that the generator writes for "anything", and for
 * null among others.
 */
function withOldNull(value: Json): Json {
  if (value["type"] === "null") return OLD_NULL;
  const { nullable: _bare, anyOf, ...rest } = value;
  if (Array.isArray(anyOf)) {
    return { ...rest, anyOf: anyOf.map((each: Json) => Object.keys(each).length === 0 ? OLD_NULL : each) };
  }
  return "type" in value ? value : rest;
}

/** The generator writes the description of a reference as a second schema, which clients take for a separate type. */
function wordsBeside(value: Json): Json {
  const { allOf, ...rest } = value;
  const [reference, words, ...others] = Array.isArray(allOf) ? allOf as readonly Json[] : [];
  const isWords = words !== undefined && others.length === 0 &&
    Object.keys(words).every((key) => key === "description" || key === "example");
  return isWords ? { ...rest, allOf: [reference], ...words } : value;
}
