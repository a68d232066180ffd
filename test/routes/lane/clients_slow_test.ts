/**
 * The HTTP clients that people use, as they come, against the service: each sends the same requests and prints the
 * statuses. A client whose toolchain is not here is skipped, and said to be.
 */
import assert from "node:assert/strict";
import { startProcess } from "../../support/service.ts";
import { within } from "../../support/waiting.ts";

const FOLDER = new URL("clients/", import.meta.url).pathname;

interface Client {
  /** Succeeds where the client can run. */
  readonly needs: readonly string[];
  readonly command: readonly string[];
}

const CLIENTS: Readonly<Record<string, Client>> = {
  "Java's HttpClient": { needs: ["java", "-version"], command: ["java", `${FOLDER}Client.java`] },
  "Go's net/http": { needs: ["go", "version"], command: ["go", "run", `${FOLDER}client.go`] },
  "Python's requests": {
    needs: ["python3", "-c", "import requests"],
    command: ["python3", `${FOLDER}client_blocking.py`, "requests"],
  },
  "Python's httpx": {
    needs: ["python3", "-c", "import httpx"],
    command: ["python3", `${FOLDER}client_blocking.py`, "httpx"],
  },
  "Python's aiohttp": {
    needs: ["python3", "-c", "import aiohttp"],
    command: ["python3", `${FOLDER}client_aiohttp.py`],
  },
  "Node's fetch": { needs: ["node", "--version"], command: ["node", `${FOLDER}client.mjs`] },
  "curl": { needs: ["curl", "--version"], command: ["sh", `${FOLDER}client.sh`] },
};

/** Health, creation, five steps, one in chunks, half a JSON, old and known values, HEAD, deletion, a run that is gone. */
const STATUSES = [200, 201, 200, 200, 200, 200, 200, 200, 400, 200, 304, 200, 204, 404];

async function output(
  [command = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  try {
    const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], env, stdin: "null" })
      .output();
    const [text, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { code, text: text ?? "", errors: errors ?? "" };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { code: 127, text: "", errors: error.message };
  }
}

for (const [name, { needs, command }] of Object.entries(CLIENTS)) {
  const isHere = (await output(needs)).code === 0;
  if (!isHere) console.log(`SKIPPED: ${name} is not here, ${needs.join(" ")} failed`);
  Deno.test({
    name: `${name} works as it comes`,
    ignore: !isHere,
    fn: async () => {
      const scratch = await Deno.makeTempDir();
      await using service = await startProcess({ STEPWELL_LOG: "errors" });
      const env = { STEPWELL_URL: service.url, STEPWELL_SCRATCH: scratch };
      const { code, text, errors } = await within(`${name} did not end`, output(command, env));
      assert.equal(code, 0, errors);
      assert.deepEqual(text.trim().split("\n").map(Number), STATUSES, errors);
      await Deno.remove(scratch, { recursive: true });
    },
  });
}
