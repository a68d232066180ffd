import assert from "node:assert/strict";
import { z } from "zod";
import { StepwellError } from "../../../src/errors.ts";
import { Family, type Member, REFERENCE, serialize } from "../../../src/families/mechanism/family.ts";
import { number } from "../../../src/families/mechanism/fields.ts";

const box: Member = {
  class_name: "Box",
  aliases: ["crate"],
  summary: "A box.",
  config: z.strictObject({
    width: number(1, "Width.", { minimum: 0, maximum: 9 }),
    lid: z.boolean().default(true),
    sides: z.array(z.number()).min(1).optional(),
    colour: z.enum(["red", "blue"]).optional(),
    inside: REFERENCE.optional(),
  }),
  check: ({ width, lid }) =>
    width === 7 && lid === false ? [{ key: "lid", message: "is off, must be on" }] : [],
  rank: (key, kind) => kind === "across" ? 0 : key === "colour" ? 1 : 2,
};
const bag: Member = { class_name: "Bag", summary: "A bag.", config: z.strictObject({}) };
const containers = new Family("container", [box, bag]);

function refusal(act: () => unknown): StepwellError {
  try {
    act();
  } catch (error) {
    assert(error instanceof StepwellError, String(error));
    return error;
  }
  throw new Error("was not refused");
}

Deno.test("Family.resolve() fills in defaults when a config is absent, null, empty or there is only a name", () => {
  for (
    const json of ["Box", { class_name: "Box" }, { class_name: "box", config: null }, {
      class_name: "CRATE",
      config: {},
    }]
  ) {
    assert.deepEqual(serialize(containers.resolve(json)), {
      class_name: "Box",
      config: { width: 1, lid: true },
    });
  }
});

Deno.test("Family.resolve() lists all names when the class is unknown", () => {
  for (const json of ["Sack", { class_name: "Sack" }, { class_name: "" }, "constructor", "__proto__"]) {
    const error = refusal(() => containers.resolve(json, "spec.0"));
    assert.equal(error.code, "unknown_class");
    assert.match(error.message, /^Cannot find this container: class_name is ".*", must be one of Box, Bag$/);
    assert.deepEqual(error.issues.map(({ path }) => path), ["spec.0.class_name"]);
  }
});

Deno.test("Family.resolve() names the place when the form is invalid", () => {
  const cases: [unknown, string, RegExp][] = [
    [5, "at", /is 5, must be/],
    [null, "at", /is null, must be/],
    [["Box"], "at", /is \["Box"\], must be/],
    [{}, "at.class_name", /is missing, must be of type string/],
    [{ class_name: 1 }, "at.class_name", /is 1, must be of type string/],
    [{ class_name: "Box", config: [] }, "at.config", /is \[\], must be of type record/],
    [{ class_name: "Box", colour: "red" }, "at.colour", /unknown key; the form takes class_name, config/],
    [{ class_name: "Box", module: 5 }, "at.module", /is 5, must be of type string/],
  ];
  for (const [json, path, message] of cases) {
    const { code, issues: [issue] } = refusal(() => containers.resolve(json, "at"));
    assert.equal(code, "invalid_config");
    assert.equal(issue?.path, path);
    assert.match(issue?.message ?? "", message);
  }
});

Deno.test("Family.resolve() names the value and the range when a value is out of range", () => {
  const cases: [Record<string, unknown>, string, string][] = [
    [{ width: -1 }, "width", "is -1, must be >= 0"],
    [{ width: 10 }, "width", "is 10, must be <= 9"],
    [{ width: "3" }, "width", 'is "3", must be of type number'],
    [{ width: NaN }, "width", "is NaN, must be of type number"],
    [{ width: null }, "width", "is null, must be of type number"],
    [{ lid: 1 }, "lid", "is 1, must be of type boolean"],
    [{ sides: [] }, "sides", "is [], must be >= 1 long"],
    [{ sides: [1, "b"] }, "sides.1", 'is "b", must be of type number'],
    [{ colour: "green" }, "colour", 'is "green", must be one of "red", "blue"'],
    [{ widht: 1 }, "widht", "is an unknown key; Box takes width, lid, sides, colour, inside"],
  ];
  for (const [config, path, message] of cases) {
    const error = refusal(() => containers.resolve({ class_name: "Box", config }, "c"));
    assert.deepEqual(error.issues, [{ path: `c.config.${path}`, message }]);
    assert.equal(error.message, `Cannot configure Box: ${path} ${message}`);
  }
});

Deno.test("Family.resolve() reports several problems by rank, then in the order given", () => {
  const config = { b: 1, lid: false, width: 7, a: 2, colour: 3, sides: 4 };
  const error = refusal(() => containers.resolve({ class_name: "Box", config }));
  assert.deepEqual(error.issues.map(({ path }) => path), [
    "config.lid",
    "config.colour",
    "config.b",
    "config.a",
    "config.sides",
  ]);
  assert.equal(error.message, "Cannot configure Box: lid is off, must be on (and 4 more)");
});

Deno.test("Family.resolve() shortens the value when it is long", () => {
  const error = refusal(() => containers.resolve({ class_name: "Box", config: { width: "x".repeat(5000) } }));
  assert(error.message.length < 150, error.message);
});

Deno.test("Family() refuses two members when they share a name", () => {
  assert.throws(() => new Family("container", [box, { ...bag, aliases: ["BOX"] }]), /Two members/);
});
