/** The OpenAPI documents: up to date, complete, and without anything but the operations. */
import assert from "node:assert/strict";
import { openapi30, openapi31 } from "../../../routes/contract/openapi.ts";
import { ERRORS } from "../../../src/errors.ts";
import { startService } from "../support/harness.ts";

const { app, send } = startService();

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly security?: readonly unknown[];
  readonly parameters?: readonly { name: string; in: string; description?: string; schema: Schema }[];
  readonly requestBody?: { required?: boolean; content: Record<string, unknown> };
  readonly responses: Record<
    string,
    { description: string; headers?: Record<string, unknown>; content?: Record<string, unknown> }
  >;
}
type Schema = Record<string, unknown>;
interface Document {
  readonly openapi: string;
  readonly tags: readonly { name: string; description: string }[];
  readonly security: readonly unknown[];
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: Record<"schemas" | "headers" | "securitySchemes", Record<string, Schema>>;
}

const documents = [openapi31(app), openapi30(app)] as unknown as Document[];
const operations = documents.flatMap(({ paths }) =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
  )
);

Deno.test("get_openapi serves the 3.1 document", async () => {
  assert.deepEqual(
    await (await send("GET", "/openapi.json")).json(),
    JSON.parse(JSON.stringify(documents[0])),
  );
  assert.deepEqual(documents.map(({ openapi }) => openapi), ["3.1.0", "3.0.3"]);
});

Deno.test("every operation that the app serves is documented, and no other", () => {
  const served = app.routes.filter(({ method, path }) => method !== "ALL" && !path.startsWith("/docs"))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
  const documented = operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  assert.deepEqual([...new Set(documented)].sort(), [...new Set(served)].sort());
});

Deno.test("every operation is the file of its operationId", () => {
  const files = [...Deno.readDirSync(new URL("../../../routes/", import.meta.url))].map(({ name }) => name);
  for (const { operation } of operations) {
    assert.ok(files.includes(`${operation.operationId}.ts`), operation.operationId);
  }
});

Deno.test("every operation has a description, a tag, and the parameters of its path", () => {
  const ids = new Set(operations.map(({ operation }) => operation.operationId));
  assert.equal(ids.size, operations.length / documents.length);
  const tags = documents[0]?.tags.map(({ name }) => name);
  for (const { path, operation } of operations) {
    assert.match(operation.operationId, /^[a-z]+(_[a-z]+)*$/);
    assert.ok(operation.summary.length > 5 && operation.description.length > 10, path);
    assert.ok(operation.tags.length === 1 && tags?.includes(operation.tags[0] ?? ""), path);
    const inPath = (operation.parameters ?? []).filter((each) => each.in === "path").map(({ name }) =>
      `{${name}}`
    );
    assert.deepEqual(inPath, path.match(/\{\w+\}/g) ?? []);
    if (operation.requestBody) assert.equal(operation.requestBody.required, true, path);
  }
});

Deno.test("every refusal is documented from the catalogue, with an example for each code", () => {
  for (const { path, operation } of operations) {
    for (const [status, { content, headers, description }] of Object.entries(operation.responses)) {
      assert.ok(headers && "X-Request-Id" in headers, `${path} ${status}`);
      if (Number(status) < 400) continue;
      const { examples } = content?.["application/problem+json"] as {
        examples: Record<string, { value: { status: number; code: string } }>;
      };
      for (const [code, { value }] of Object.entries(examples)) {
        assert.deepEqual([value.code, String(value.status)], [code, status]);
        assert.equal(String(ERRORS[code as keyof typeof ERRORS].status), status);
        assert.ok(description.includes(`\`${code}\``));
      }
    }
    assert.equal("401" in operation.responses, operation.security === undefined, path);
    assert.equal("Retry-After" in (operation.responses["503"]?.headers ?? { "Retry-After": 0 }), true, path);
  }
});

/** Of requests that belong to no operation: their path is unknown, or they were not understood that far. */
const BEFORE_OPERATIONS = [
  "unknown_route",
  "method_not_allowed",
  "malformed_request",
  "head_timeout",
  "head_too_large",
];

Deno.test("every code of the catalogue that a caller can meet is documented at some operation", () => {
  const text = JSON.stringify(documents[0]?.paths);
  const met = Object.keys(ERRORS).filter((code) => !BEFORE_OPERATIONS.includes(code));
  assert.deepEqual(met.filter((code) => !text.includes(`"${code}"`)), []);
});

Deno.test("every field of every body and every parameter has a description and an example", () => {
  const missing: string[] = [];
  const visit = (schema: Schema, path: string) => {
    for (const [name, field] of Object.entries((schema["properties"] ?? {}) as Record<string, Schema>)) {
      if (!("$ref" in field || "description" in field || "allOf" in field)) {
        missing.push(`${path}.${name}: description`);
      }
      if (!("$ref" in field || "example" in field || "properties" in field || "allOf" in field)) {
        missing.push(`${path}.${name}: example`);
      }
      visit(field, `${path}.${name}`);
    }
    const items = schema["items"] as Schema | undefined;
    if (items) visit(items, `${path}[]`);
  };
  for (const { components } of documents) {
    for (const [name, schema] of Object.entries(components.schemas)) {
      if (!["Tensor", "Gradient"].includes(name)) visit(schema, name);
    }
  }
  for (const { path, operation } of operations) {
    for (const { name, schema, description } of operation.parameters ?? []) {
      if (!description && !schema["description"]) missing.push(`${path} ${name}: description`);
    }
  }
  assert.deepEqual(missing, []);
});

Deno.test("every reference has a target, and every component is referenced", () => {
  for (const { components, ...document } of documents) {
    const text = JSON.stringify({ components, document });
    for (const kind of ["schemas", "headers"] as const) {
      const referred = new Set(
        [...text.matchAll(new RegExp(`"#/components/${kind}/([\\w-]+)"`, "g"))].map(([, name]) => name ?? ""),
      );
      assert.deepEqual([...referred].sort(), Object.keys(components[kind]).sort());
    }
  }
});

/** Every nested object, with its place. */
function* objects(value: unknown, path = ""): Generator<readonly [string, Schema]> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield [path, value as Schema];
  for (const [key, each] of Object.entries(value)) {
    // Examples may have any form.
    if (!["example", "examples", "default"].includes(key)) yield* objects(each, `${path}/${key}`);
  }
}

/** Schemas that openapi-python-client, @hey-api/openapi-ts or openapi-typescript drop, or read as `never`. */
Deno.test("no schema is of a kind that client generators cannot handle", () => {
  for (const { components } of documents) {
    for (const [path, value] of objects(components.schemas)) {
      const all = value["allOf"] as Schema[] | undefined;
      assert.ok(all === undefined || (all.length === 1 && "$ref" in (all[0] ?? {})), `${path}: allOf of two`);
      const any = (value["anyOf"] ?? value["oneOf"] ?? []) as Schema[];
      assert.ok(any.every((each) => Object.keys(each).length > 0), `${path}: anything among others`);
      if (JSON.stringify(value["enum"]) === "[null]") assert.equal(value["nullable"], true, `${path}: null`);
    }
    const reach = (name: string, seen: Set<string>): Set<string> => {
      for (const [, each] of objects(components.schemas[name])) {
        const next = String(each["$ref"] ?? "").split("/").at(-1) ?? "";
        if (next === "" || seen.has(next)) continue;
        seen.add(next);
        reach(next, seen);
      }
      return seen;
    };
    const names = Object.keys(components.schemas);
    assert.deepEqual(
      names.filter((name) => reach(name, new Set()).has(name)),
      [],
      "schemas that hold themselves",
    );
  }
});

Deno.test("bodies are strict and answers are not", () => {
  const [document] = documents;
  const bodies = new Set([
    "CreateRun",
    "AggregationRequest",
    "GroupRequest",
    "VariableRequest",
    "Gradients",
    "Minimize",
    "LossRequest",
    "VariablesRequest",
    "GatherRequest",
    "OptimizerPatch",
    "OptimizerDefinitionRequest",
    "Weights",
    "PackedTensor",
    "SparseGradient",
    "Int8Gradient",
    "Int8Tensor",
  ]);
  for (const [name, schema] of Object.entries(document?.components.schemas ?? {})) {
    if (schema["type"] !== "object") continue;
    assert.equal(schema["additionalProperties"] === false, bodies.has(name), name);
  }
});

Deno.test("the 3.0 document has neither null types nor nullable without a type", () => {
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if (!Array.isArray(value) && "nullable" in value) assert.ok("type" in value, JSON.stringify(value));
    if (!Array.isArray(value) && "type" in value) {
      assert.ok(!Array.isArray(value.type) && value.type !== "null");
    }
    Object.values(value).forEach(visit);
  };
  visit(documents[1]);
});
