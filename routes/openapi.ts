/**
 * The OpenAPI documents of an app: 3.1 and, for generators that know no better, 3.0.3. Everything but the few lines
 * here comes from the operations.
 */
import type { App } from "./context.ts";

/** The version of the HTTP contract; the paths carry its first number. */
export const API_VERSION = "1.0.0";

const TAGS = [
  { name: "runs", description: "Training runs." },
  { name: "steps", description: "Gradients in, steps applied." },
  { name: "variables", description: "Values of a run's variables." },
  { name: "slots", description: "Values of the optimizer's slots." },
  { name: "weights", description: "Keras' get_weights and set_weights." },
  { name: "optimizer", description: "Config and hyperparameters." },
  { name: "checkpoint", description: "A whole run as a file." },
  { name: "catalog", description: "What runs can be made of." },
  { name: "service", description: "Health, figures, this document." },
];

const CONFIG = {
  info: {
    title: "Stepwell",
    version: API_VERSION,
    summary: "Optimizer steps as a service",
    description:
      "Clients compute gradients and send them; the service holds variables and slots and applies the " +
      "optimizer, bit for bit as Keras' legacy optimizers on TensorFlow.",
    license: { name: "MIT", identifier: "MIT" },
  },
  servers: [{ url: "/", description: "The service that serves this document." }],
  tags: TAGS,
  security: [{ bearer: [] }],
};

export function openapi31(app: App): Record<string, unknown> {
  const { webhooks: _none, ...document } = app.getOpenAPI31Document({ ...CONFIG, openapi: "3.1.0" });
  return document;
}

export function openapi30(app: App): Record<string, unknown> {
  const { summary: _newer, ...info } = CONFIG.info;
  const license = { name: "MIT", url: "https://opensource.org/license/mit" };
  return { ...app.getOpenAPIDocument({ ...CONFIG, info: { ...info, license }, openapi: "3.0.3" }) };
}
