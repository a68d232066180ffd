/**
 * The architecture rules, checked on the import lines: allowed imports, where the outside world enters, and that no
 * file is unused. To change a rule, change its table here and ARCHITECTURE.md.
 */
import assert from "node:assert/strict";
import { basename, dirname, join } from "node:path/posix";
import { ERRORS } from "../src/errors.ts";

const ROOT = new URL("../", import.meta.url);
const MAIN = "src/main.ts";

/**
 * The floors from the ground up, each with its rooms. A file imports from its own room and from the floors below. A
 * room is a single file, or a folder without the rooms inside it.
 */
const FLOORS: readonly (readonly string[])[] = [
  ["kernels/wasm/", "kernels/libm/", "kernels/bounded_map.ts"],
  ["kernels/language/"],
  ["kernels/arena.ts"],
  ["kernels/compiler/", "kernels/noise/"],
  ["kernels/routines/"],
  [
    "src/errors.ts",
    "src/float32.ts",
    "src/globs.ts",
    "src/nulls.ts",
    "src/tensor.ts",
    "src/line_log.ts",
    "src/releasable.ts",
    "src/slices.ts",
    "src/sorting.ts",
    "src/descriptors.ts",
  ],
  ["src/settings/"],
  ["src/config.ts", "src/gate.ts", "src/open_port.ts"],
  ["src/wire/", "src/store/", "src/families/mechanism/"],
  [
    "src/families/aggregators/",
    "src/families/clip_norms/",
    "src/families/constraints/",
    "src/families/initializers/",
    "src/families/schedules/",
    "src/families/staleness_weightings/",
    "src/families/transformers/",
  ],
  ["src/families/optimizers/member/"],
  [
    "src/families/optimizers/keras/",
    "src/families/optimizers/legacy/",
    "src/families/optimizers/optax/",
    "src/families/optimizers/tfjs/",
    "src/families/optimizers/torch/",
  ],
  ["src/families/optimizers/"],
  ["src/families/optimizers/custom/"],
  ["src/families/catalog.ts", "src/families/float_config.ts"],
  ["src/autodiff/functions/"],
  ["src/autodiff/graph/"],
  ["src/autodiff/layers/", "src/autodiff/worker/"],
  ["src/autodiff/pool/"],
  ["src/autodiff/"],
  ["src/run/api/"],
  ["src/run/spec/", "src/run/answers/"],
  ["src/run/tensors/"],
  ["src/run/staging/", "src/run/checkpoint/"],
  ["src/run/step/", "src/run/journal/"],
  ["src/run/rounds/"],
  ["src/run/session/"],
  ["src/run/registry/"],
  ["routes/http/"],
  ["routes/contract/", "routes/lane/"],
  ["routes/contributions/"],
  ["routes/"],
  ["routes/app.ts"],
  ["src/main.ts"],
];

/** Packages and the files that may import them. Other packages are not imported. */
const PACKAGES: readonly { readonly name: RegExp; readonly from: RegExp }[] = [
  { name: /^(hono$|hono\/|@hono\/)/, from: /^(routes\/|src\/main\.ts$)/ },
  { name: /^@tensorflow\//, from: /^src\/autodiff\// },
  { name: /^seedrandom\//, from: /^src\/families\/initializers\// },
  { name: /^zod$/, from: /^(src|routes)\// },
  { name: /^node:/, from: /^(src|routes)\// },
  { name: /^swagger-ui-dist/, from: /^routes\// },
  { name: /^yaml$/, from: /^routes\// },
];

/** The environment, ports, clocks and randomness are used in main.ts, which passes them on. */
const OUTSIDE_WORLD =
  /Deno\.(env|serve|args|exit|addSignalListener)\b|Date\.now|new Date\(\)|performance\.now|Math\.random|crypto\.(randomUUID|getRandomValues)/;

interface Import {
  /** Path from the root, or the specifier of a package. */
  readonly target: string;
  readonly local: boolean;
  readonly dynamic: boolean;
}

interface Source {
  readonly path: string;
  /** The text without lines that are comments. */
  readonly code: string;
  readonly imports: readonly Import[];
}

const STATIC_IMPORT = /^(?:import|export)\b(?:[^"';]*?\bfrom)?\s*"([^"]+)"/gm;
const DYNAMIC_IMPORT = /\bimport\(\s*(?:"([^"]+)")?/g;
/** The modules of a worker, which are loaded when it starts. */
const WORKER = /\bnew Worker\(\s*(?:new URL\("([^"]+)")?/g;

function importsOf(path: string, code: string): Import[] {
  const find = (pattern: RegExp, dynamic: boolean) =>
    [...code.matchAll(pattern)].map(([text, specifier]): Import => {
      assert.ok(specifier, `${path} imports what only running it would tell: ${text}`);
      const local = specifier.startsWith(".");
      return { target: local ? join(dirname(path), specifier) : specifier, local, dynamic };
    });
  return [...find(STATIC_IMPORT, false), ...find(DYNAMIC_IMPORT, true), ...find(WORKER, true)];
}

function* filesBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
    if (isDirectory) yield* filesBelow(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield `${folder}${name}`;
  }
}

function read(path: string): Source {
  const lines = Deno.readTextFileSync(new URL(path, ROOT)).split("\n");
  const code = lines.filter((line) => !/^\s*(\/\/|\/\*|\*)/.test(line)).join("\n");
  return { path, code, imports: importsOf(path, code) };
}

const sources = new Map(
  ["kernels/", "src/", "routes/"].flatMap((folder) => [...filesBelow(folder)]).sort().map((
    path,
  ) => [path, read(path)]),
);

const ROOMS = FLOORS.flatMap((rooms, floor) => rooms.map((room) => ({ room, floor })));

/** The room of a file: the innermost one that contains it. */
const placeOf = (path: string) =>
  ROOMS.filter(({ room }) => room.endsWith("/") ? path.startsWith(room) : path === room)
    .toSorted((a, b) => b.room.length - a.room.length)[0];

/** Every import that breaks a rule, as readable lines. */
function breaks(rule: (source: Source, found: Import) => boolean): string[] {
  return [...sources.values()].flatMap((source) =>
    source.imports.filter((found) => !rule(source, found)).map(({ target }) => `${source.path} → ${target}`)
  );
}

Deno.test("every source file has a room, and every room a file", () => {
  assert.deepEqual([...sources.keys()].filter((path) => !placeOf(path)), []);
  const inhabited = new Set([...sources.keys()].map((path) => placeOf(path)?.room));
  assert.deepEqual(ROOMS.filter(({ room }) => !inhabited.has(room)), []);
});

Deno.test("every room is described in docs/architecture/", () => {
  const pages = [...Deno.readDirSync(new URL("docs/architecture/", ROOT))].map(({ name }) => ({
    name,
    text: Deno.readTextFileSync(new URL(`docs/architecture/${name}`, ROOT)),
  }));
  /** In a heading with the room's path, or with its name on the page of the folder that it is in. */
  const isDescribed = (room: string) => {
    const folder = `${basename(dirname(room))}.md`;
    return pages.some(({ name, text }) =>
      [...text.matchAll(/^#+ (.*)$/gm)].flatMap(([, heading = ""]) => heading.split(", "))
        .some((described) => described === room || (name === folder && described === basename(room)))
    );
  };
  assert.deepEqual(ROOMS.map(({ room }) => room).filter((room) => !isDescribed(room)), []);
});

Deno.test("imports stay in their room or point downwards", () => {
  const upwards = breaks(({ path }, { target, local }) => {
    const from = placeOf(path), to = placeOf(target);
    return !local || from?.room === to?.room || (to?.floor ?? 0) < (from?.floor ?? 0);
  });
  assert.deepEqual(upwards, []);
});

Deno.test("imports name files that exist", () => {
  assert.deepEqual(breaks((_, { target, local }) => !local || sources.has(target)), []);
});

Deno.test("packages are imported only where the table allows", () => {
  const allowed = (path: string, target: string) =>
    PACKAGES.some(({ name, from }) => name.test(target) && from.test(path));
  assert.deepEqual(breaks(({ path }, { target, local }) => local || allowed(path, target)), []);
});

/** The cycles among `nodes`, each as a readable line. */
function cyclesOf(nodes: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (node: string, trail: readonly string[]): void => {
    const at = trail.indexOf(node);
    if (at >= 0) cycles.push([...trail.slice(at), node].join(" → "));
    if (at >= 0 || done.has(node)) return;
    for (const next of nodes.get(node) ?? []) visit(next, [...trail, node]);
    done.add(node);
  };
  for (const node of nodes.keys()) visit(node, []);
  return cycles;
}

/** The imports between nodes, where `nodeOf` gives the node of a file. */
function importsAmong(nodeOf: (path: string) => string): Map<string, Set<string>> {
  const nodes = new Map<string, Set<string>>();
  for (const { path, imports } of sources.values()) {
    const from = nodeOf(path), found = nodes.get(from) ?? new Set();
    for (const { target, local } of imports) {
      // Files of one folder may import each other. No file imports itself.
      if (local && (nodeOf(target) !== from || target === path)) found.add(nodeOf(target));
    }
    nodes.set(from, found);
  }
  return nodes;
}

Deno.test("no import cycles", () => {
  assert.deepEqual(cyclesOf(importsAmong((path) => path)), []);
});

Deno.test("no folders that import each other, directly or in a longer cycle", () => {
  // A file that is a room, such as main.ts, is not part of its folder.
  const nodeOf = (path: string) => placeOf(path)?.room === path ? path : `${dirname(path)}/`;
  assert.deepEqual(cyclesOf(importsAmong(nodeOf)), []);
});

/** All files that `roots` load at once; with `lazily`, also those that they load later. */
function closure(roots: readonly string[], lazily: boolean): Set<string> {
  const found = new Set<string>();
  const visit = (path: string): void => {
    if (found.has(path)) return;
    found.add(path);
    for (const { target, dynamic } of sources.get(path)?.imports ?? []) if (lazily || !dynamic) visit(target);
  };
  roots.forEach(visit);
  return found;
}

Deno.test("every source file is reached from main.ts or from a task of deno.json", () => {
  const { tasks = {} } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))) as {
    tasks?: Record<string, string | { command?: string }>;
  };
  const commands = Object.values(tasks).map((task) => typeof task === "string" ? task : task.command ?? "");
  const scripts = commands.flatMap((command) => command.match(/[\w./-]+\.ts\b/g) ?? []);
  const reached = closure([MAIN, ...scripts], true);
  assert.deepEqual([...sources.keys()].filter((path) => !reached.has(path)), []);
});

Deno.test("tfjs is not loaded when the service starts", () => {
  const loaded = [...closure([MAIN], false)].filter((target) => target.startsWith("@tensorflow/"));
  assert.deepEqual(loaded, []);
});

Deno.test("environment, ports, clocks and randomness are used only where a thread begins", () => {
  const begins = [MAIN, "src/autodiff/worker/worker.ts"];
  const found = [...sources.values()].filter(({ path }) => !begins.includes(path))
    .flatMap(({ path, code }) =>
      code.split("\n").filter((line) => OUTSIDE_WORLD.test(line)).map((line) => `${path}: ${line.trim()}`)
    );
  assert.deepEqual(found, []);
});

Deno.test("file names are snake_case and none is index.ts", () => {
  const folders = ["kernels/", "src/", "routes/", "test/", "bench/", "examples/", "tools/"];
  const odd = folders.flatMap((folder) => [...filesBelow(folder)])
    .filter((path) =>
      !/^[a-z][a-z0-9]*(_[a-z0-9]+)*\.ts$/.test(basename(path)) || basename(path) === "index.ts"
    );
  assert.deepEqual(odd, []);
});

Deno.test("every code of the error catalogue is thrown somewhere", () => {
  const lists = ["src/errors.ts", "routes/http/problem_schema.ts"];
  const code = [...sources.values()].filter(({ path }) => !lists.includes(path)).map(({ code }) => code)
    .join("\n");
  assert.deepEqual(Object.keys(ERRORS).filter((name) => !code.includes(`"${name}"`)), []);
});
