/**
 * Runs the README's commands, those of its tour and of the sections that continue it, one after the other against one
 * service, and compares the output with what the README shows.
 */
import assert from "node:assert/strict";
import { startService } from "../examples/service_process.ts";

const text = Deno.readTextFileSync(new URL("../README.md", import.meta.url));

/** The sections in the order in which they run. */
const SECTIONS = ["## Tour", "### An optimizer of your own", "## Losses"];

interface Block {
  readonly language: string;
  readonly lines: string;
}

/** The code blocks between a heading and the next heading of any level. */
function blocksBelow(heading: string): Block[] {
  const section = text.split(/^(?=#{2,3} )/m).find((part) => part.startsWith(`${heading}\n`));
  assert.ok(section, `README has no ${heading}`);
  return [...section.matchAll(/^```(\w+)\n([^]*?)^```$/gm)]
    .map(([, language = "", lines = ""]) => ({ language, lines }));
}

/** Runs a program with `input` and returns its output. Fails if it ends with an error. */
async function run(program: string, args: readonly string[], options: { input: string; cwd: string }) {
  const child = new Deno.Command(program, {
    args: [...args],
    cwd: options.cwd,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(options.input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  assert.ok(success, `${program} failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** Printed after each command of the tour, because answers end without a newline. */
const MARK = "--- end of a command ---";

/** The commands of a block. A backslash or an open quote continues a command on the next line. */
function commandsOf(lines: string): string[] {
  const commands: string[] = [];
  let command = "";
  for (const line of lines.split("\n")) {
    command += `${line}\n`;
    const isOpen = line.endsWith("\\") || command.replaceAll(/"[^"']*"/g, "").split("'").length % 2 === 0;
    if (isOpen) continue;
    if (command.trim() !== "") commands.push(command);
    command = "";
  }
  return commands;
}

/** Whether a value is as shown. `<…>` matches any text that is not empty. */
function fits(shown: unknown, real: unknown): boolean {
  if (typeof shown === "string" && /^<.+>$/.test(shown)) return typeof real === "string" && real !== "";
  if (typeof shown !== "object" || shown === null) return Object.is(shown, real);
  if (typeof real !== "object" || real === null) return false;
  const keys = Object.keys(shown);
  return assertSame(keys, Object.keys(real)) &&
    keys.every((key) =>
      fits((shown as Record<string, unknown>)[key], (real as Record<string, unknown>)[key])
    );
}

function assertSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((key, index) => key === b[index]);
}

function compare(command: string, shown: Block, real: string): void {
  const same = shown.language === "json"
    ? fits(JSON.parse(shown.lines), JSON.parse(real))
    : shown.lines.trim() === real.trim();
  assert.ok(same, `${command}\nanswers\n${real}\nbut README shows\n${shown.lines}`);
}

/** The output of a program; undefined if it does not exist or fails. */
async function printed(program: string, ...args: string[]): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command(program, { args, stderr: "null" }).output();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether there is bash, and a curl that can print a header (7.84 or later). */
async function hasCurl(): Promise<boolean> {
  const [, major, minor] = /^curl (\d+)\.(\d+)/.exec(await printed("curl", "--version") ?? "") ?? [];
  return Number(major) + Number(minor) / 1000 >= 7.084 && await printed("bash", "--version") !== undefined;
}

/** Whether `python3` has the modules that the examples import. */
const hasPython = async () => await printed("python3", "-c", "import numpy, safetensors.numpy") !== undefined;

Deno.test({
  name: "README's commands do answer as shown when they run one after the other",
  // The reader's tools. The service does not need them.
  ignore: !await hasCurl(),
  fn: takeTour,
});

async function takeTour(t: Deno.TestContext): Promise<void> {
  const service = await startService();
  const cwd = await Deno.makeTempDir();
  const here = (lines: string) => lines.replaceAll("http://127.0.0.1:8080", service.url);
  try {
    const blocks = SECTIONS.flatMap(blocksBelow);
    const commands = blocks.filter(({ language }) => language === "sh").flatMap(({ lines }) =>
      commandsOf(lines)
    );
    const script = commands.map((command) => `${here(command)}printf '\\n${MARK}\\n'\n`).join("");
    const said = await run("bash", ["-euo", "pipefail"], { input: script, cwd });
    const answers = said.split(`${MARK}\n`).slice(0, -1)
      .map((answer, index) => ({ command: commands[index] ?? "", answer }))
      .filter(({ answer }) => answer.trim() !== "");
    const shown = blocks.filter(({ language }) => language !== "sh");
    assert.equal(answers.length, shown.length, said);
    assert.ok(shown.length >= 20);
    shown.forEach((block, index) =>
      compare(answers[index]?.command ?? "", block, answers[index]?.answer ?? "")
    );

    await t.step({
      name: "its Python boxes do print as shown when python3 has numpy and safetensors",
      ignore: !await hasPython(),
      fn: async () => {
        for (const heading of ["### From Python", "### Small payloads"]) {
          const [program, output] = blocksBelow(heading);
          assert.ok(program?.language === "python" && output);
          compare(program.lines, output, await run("python3", ["-"], { input: here(program.lines), cwd }));
        }
      },
    });
  } finally {
    await service.stop();
    await Deno.remove(cwd, { recursive: true });
  }
}
