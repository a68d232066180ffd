/** Laws for every member of every family. They cover a new member as soon as it is in its family's list. */
import assert from "node:assert/strict";
import { z } from "zod";
import { StepwellError } from "../../src/errors.ts";
import { FAMILIES, MEMBERS } from "./support/members.ts";
import { catalog } from "../../src/families/catalog.ts";
import { parseConfig, serialize } from "../../src/families/mechanism/family.ts";

function issuesOf(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    assert(error instanceof StepwellError);
    assert.equal(error.code, "invalid_config");
    return error.issues.map(({ path }) => path);
  }
  return [];
}

Deno.test("no field of any member takes a number that float32 cannot hold", () => {
  for (const { family, member, given } of MEMBERS) {
    for (const key of Object.keys(member.config.shape)) {
      for (const number of [3.5e38, -3.5e38, 1e39, -1e39, 1e308, -1e308]) {
        const config = { ...given, [key]: number };
        const issues = issuesOf(() => family.resolve(serialize({ member, config })));
        assert.ok(issues.some((path) => path.includes(key)), `${member.class_name}.${key} takes ${number}`);
      }
    }
  }
});

Deno.test("every member survives a round trip when it is serialized and resolved", () => {
  for (const { family, member, given } of MEMBERS) {
    const part = family.resolve(serialize({ member, config: given }));
    assert.deepEqual(Object.keys(part.config).length > 0, Object.keys(member.config.shape).length > 0);
    const again = family.resolve(JSON.parse(JSON.stringify(serialize(part))));
    assert.equal(again.member, member);
    assert.deepEqual(again.config, part.config, member.class_name);
  }
});

Deno.test("every member is found when its name or alias comes in any case or in the newer Keras form", () => {
  for (const { folder, family, member, given: config } of MEMBERS) {
    for (const name of [member.class_name, ...member.aliases ?? []]) {
      for (const class_name of [name, name.toLowerCase(), name.toUpperCase()]) {
        // Only an optimizer's module says anything; that of legacy optimizers may be absent too.
        const module = folder !== "optimizers"
          ? "keras.somewhere"
          : member.module ?? "keras.optimizers.legacy";
        const form = { module, class_name, config, registered_name: null };
        assert.equal(family.resolve(form).member, member);
      }
      if (Object.keys(config).length === 0 && member.module === undefined) {
        assert.equal(family.resolve(name).member, member);
      }
    }
  }
});

Deno.test("every member refuses an unknown key when one is given, and names those it takes", () => {
  for (const { member, given } of MEMBERS) {
    const act = () => parseConfig(member, { ...given, no_such_key: 1 }, "here");
    assert.deepEqual(issuesOf(act), ["here.config.no_such_key"]);
    const allowed = Object.keys(member.config.shape).join(", ");
    assert.throws(act, (error: Error) => error.message.endsWith(`${member.class_name} takes ${allowed}`));
  }
});

Deno.test("every field refuses a value of another type when one is given", () => {
  for (const { member, given } of MEMBERS) {
    for (const key of Object.keys(member.config.shape)) {
      const issues = issuesOf(() => parseConfig(member, { ...given, [key]: { surely: "not this" } }));
      assert(
        issues.length > 0 && issues.every((path) => path.startsWith(`config.${key}`)),
        `${member.class_name} ${key}`,
      );
    }
  }
});

Deno.test("every field has a description and accepts its own default, if it has one", () => {
  for (const { member, given } of MEMBERS) {
    const schema = z.toJSONSchema(member.config, { io: "input" });
    assert.equal(schema.additionalProperties, false);
    const required = new Set(schema.required ?? []);
    for (const [key, field] of Object.entries(schema.properties ?? {})) {
      const { description, default: fallback } = field as { description?: string; default?: unknown };
      assert(description, `${member.class_name}.${key} has no description`);
      assert.equal(required.has(key), key in given && fallback === undefined, `${member.class_name}.${key}`);
      if (fallback !== undefined) assert.deepEqual(parseConfig(member, given)[key], fallback);
    }
  }
});

function* filesBelow(folder: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* filesBelow(new URL(`${name}/`, folder));
    else yield new URL(name, folder);
  }
}

Deno.test("every member that a file of the folder exports is in its family's list", async () => {
  for (const [folder, family] of Object.entries(FAMILIES)) {
    const directory = new URL(`../../src/families/${folder}/`, import.meta.url);
    const exported = new Set<unknown>();
    for (const file of filesBelow(directory)) {
      const values = Object.values(await import(file.href) as Record<string, unknown>);
      for (const value of values) {
        if (typeof value === "object" && value !== null && "class_name" in value) exported.add(value);
      }
    }
    assert.deepEqual(exported, new Set(family.members), folder);
  }
});

Deno.test("catalog() describes every member of every family", () => {
  const described = Object.entries(catalog()).flatMap(([folder, members]) =>
    (members as { class_name: string; module?: string }[]).map(({ class_name, module = "" }) =>
      `${folder} ${module} ${class_name}`
    )
  );
  assert.deepEqual(
    described.toSorted(),
    MEMBERS.map(({ folder, member }) => `${folder} ${member.module ?? ""} ${member.class_name}`).toSorted(),
  );
});
