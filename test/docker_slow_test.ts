/**
 * The Dockerfile without an engine: the copied files suffice, the command and the health check work, and permissions
 * are those of the task `start`. Not tested: that the base image exists, and the engine itself.
 */
import assert from "node:assert/strict";
import { within } from "./support/waiting.ts";

const ROOT = new URL("../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));

/** Instructions in order; continued lines are joined, comments dropped. */
const instructions = read("Dockerfile").replaceAll(/^#.*\n/gm, "").replaceAll("\\\n", " ").trim().split(/\n+/)
  .map((line) => {
    const [, name = "", rest = ""] = /^([A-Z]+) +(.*)$/.exec(line) ?? [];
    return { name, rest };
  });

function all(name: string): string[] {
  return instructions.filter((each) => each.name === name).map(({ rest }) => rest);
}

function one(name: string): string {
  const [rest, ...more] = all(name);
  assert.ok(rest !== undefined && more.length === 0, `must have one ${name}`);
  return rest;
}

/** The array at the end of an instruction in exec form. */
function words(rest: string): [string, ...string[]] {
  return JSON.parse(rest.slice(rest.indexOf("["))) as [string, ...string[]];
}

const environment = Object.fromEntries(all("ENV").map((pair) => pair.split("=", 2) as [string, string]));
const sources = all("COPY").flatMap((rest) => rest.split(/ +/).slice(0, -1));

interface Child {
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A command of the image, with the image's environment plus `env`. */
function command({ args, cwd, env }: Child) {
  const [program, ...rest] = args;
  assert.equal(program, "deno");
  return new Deno.Command(Deno.execPath(), {
    args: rest,
    cwd,
    env: { ...environment, ...env },
    stdout: "piped",
    stderr: "piped",
  });
}

async function copyInto(folder: string, path: string): Promise<void> {
  const { isDirectory } = await Deno.stat(new URL(path, ROOT));
  if (!isDirectory) return await Deno.copyFile(new URL(path, ROOT), `${folder}/${path}`);
  await Deno.mkdir(`${folder}/${path}`);
  for await (const { name } of Deno.readDir(new URL(path, ROOT))) await copyInto(folder, `${path}/${name}`);
}

/** Where files of tokens, certificate and key are mounted: the service may read it, and not write it. */
const SECRETS = ",/etc/stepwell";

Deno.test("Dockerfile runs the service like the task start, as a user without rights", () => {
  const { tasks } = JSON.parse(read("deno.json")) as { tasks: { start: { command: string } } };
  const cmd = words(one("CMD"));
  const started = tasks.start.command.replaceAll(
    "$(deno task --quiet folders)",
    environment["STEPWELL_DATA"] ?? "",
    // A container may listen at any address.
  ).replace("$(deno task --quiet address)", "").replace("$(deno task --quiet secrets)", SECRETS);
  assert.deepEqual(cmd.filter((word) => word !== "--cached-only"), started.split(" "));
  assert.ok(cmd.includes("--cached-only"));
  assert.equal(one("USER"), "deno");
  // Root only makes the data folder.
  const byRoot = instructions.slice(0, instructions.findIndex(({ name }) => name === "USER"));
  assert.deepEqual(byRoot.filter(({ name }) => name === "RUN").length, 1);
  assert.equal(one("VOLUME"), environment["STEPWELL_DATA"]);
  assert.equal(one("EXPOSE"), environment["STEPWELL_PORT"]);
});

Deno.test("Dockerfile, .ci/run and README name the same pinned version of Deno", () => {
  const [, version] = /^denoland\/deno:(\d+\.\d+\.\d+)$/.exec(one("FROM")) ?? [];
  assert.ok(version);
  for (const path of [".ci/run", "README.md"]) {
    const named = new Set([...read(path).matchAll(/deno@([\w.]+)/g)].map(([, found]) => found));
    assert.deepEqual([...named], [version], path);
  }
});

Deno.test(".dockerignore admits exactly what the Dockerfile copies", () => {
  const lines = read(".dockerignore").split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  assert.deepEqual(lines, ["*", ...sources.map((source) => `!${source}`)]);
});

Deno.test("Dockerfile starts a healthy service from the files that it copies, given a token", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    for (const source of sources) await copyInto(cwd, source);
    const data = `${cwd}/data`;
    const args = words(one("CMD")).map((word) => word.replace(/(?<=[=,])\/data(?=,|$)/, data));

    const refused = await command({
      args,
      cwd,
      env: { STEPWELL_PORT: "0", STEPWELL_TOKEN: "", STEPWELL_DATA: data },
    }).output();
    assert.equal(refused.code, 1);
    assert.match(new TextDecoder().decode(refused.stderr), /STEPWELL_TOKEN/);

    // The test listens on loopback, the image on all interfaces.
    const env = {
      STEPWELL_HOST: "127.0.0.1",
      STEPWELL_PORT: "0",
      STEPWELL_TOKEN: "secret",
      STEPWELL_DATA: data,
    };
    const service = command({ args, cwd, env }).spawn();
    const port = await within("The service did not become ready", portOf(service.stdout));
    const probe = command({ args: words(one("HEALTHCHECK")), cwd, env: { STEPWELL_PORT: port } });
    const [healthy, closed] = [await probe.output(), await fetch(`http://127.0.0.1:${port}/v1/runs`)];
    assert.equal(healthy.code, 0, new TextDecoder().decode(healthy.stderr));
    assert.equal(closed.status, 401);
    await closed.body?.cancel();

    service.kill("SIGTERM");
    await service.stderr.cancel();
    assert.equal((await service.status).code, 0);
    assert.notEqual((await probe.output()).code, 0);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

/** The port that the ready line names. */
async function portOf(stdout: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let said = "";
  for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
    said += text;
    const port = /ready at http:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1];
    if (port !== undefined) return port;
  }
  throw new Error(`The service did not become ready: ${said}`);
}
