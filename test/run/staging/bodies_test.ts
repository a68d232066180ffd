/** Files of many variables that come again and again: the same results and refusals as of the first. */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { encodeSafetensors } from "../../../src/wire/safetensors_writer.ts";
import { gradientFields } from "../../../src/wire/metadata_fields.ts";
import { headerKey } from "../../../src/wire/header_key.ts";
import { tensorFileReader } from "../../../src/wire/tensor_file.ts";
import { codeOf, newRegistry, numbers, open, stateOf } from "../support/harness.ts";
import { newWorld, request } from "../support/stored.ts";

const COUNT = 40;
const SPEC = {
  id: "many",
  optimizer: { class_name: "Adam", config: {} },
  variables: Array.from({ length: COUNT }, (_, n) => ({ name: `v${n}`, shape: [n % 4, 3] })),
};
const VALUES = SPEC.variables.reduce((sum, { shape: [rows = 0, columns = 0] }) => sum + rows * columns, 0);
const NAMES = SPEC.variables.map(({ name }) => name);

interface Sent {
  readonly seed: number;
  readonly names?: readonly string[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The bytes of a file; its tensors are in the order of their names, like those of the usual writers. */
function fileOf({ seed, names = NAMES, metadata = {} }: Sent): Uint8Array<ArrayBuffer> {
  const tensors = names.map((name) => {
    const shape = SPEC.variables.find((each) => each.name === name)?.shape ?? [1];
    const count = shape.reduce((product, size) => product * size, 1);
    return { name, shape, values: Float32Array.from(numbers(count, { seed: seed + Number(name.slice(1)) })) };
  });
  return encodeSafetensors(tensors, { metadata }).body as Uint8Array<ArrayBuffer>;
}

/** Returns whether the file was recognized. */
function send(session: Session, file: Uint8Array, pieceBytes = file.length): boolean {
  using staging = session.stage("gradients");
  const recall = staging.whole!.recall.bind(staging.whole);
  let isKnown = false;
  staging.whole!.recall = (key) => {
    const found = recall(key);
    isKnown ||= found !== undefined;
    return found;
  };
  let fields: { base_iteration?: unknown; weight?: unknown } = {};
  const reader = tensorFileReader(staging, {
    fileBytes: file.length,
    onMetadata: (metadata) => fields = gradientFields(metadata),
  });
  for (let at = 0; at < file.length; at += pieceBytes) reader.write(file.subarray(at, at + pieceBytes));
  reader.close();
  const baseIteration = fields.base_iteration as number | undefined;
  session.step(staging, { aggregate: true, dryRun: false, baseIteration });
  return isKnown;
}

Deno.test("a file with known entries and other metadata is recognized, and makes the same step", async () => {
  const session = await open(SPEC), others: Session[] = [];
  for (let n = 0; n < 3; n++) {
    const file = fileOf({ seed: n, metadata: { base_iteration: String(n), client_id: '}{\\"' } });
    assert.equal(send(session, file, n === 2 ? 7 : undefined), n > 0);
    // Sessions that have no memory of files.
    const fresh = await open(SPEC);
    for (let at = 0; at <= n; at++) {
      if (at === n) send(fresh, fileOf({ seed: at }));
      else send(fresh, fileOf({ seed: at, names: NAMES.toReversed(), metadata: { strange: "1" } }));
    }
    others.push(fresh);
    assert.deepEqual(stateOf(session), stateOf(fresh));
  }
});

Deno.test("a file with other names, or another order of the same, is not mistaken for a known one", async () => {
  const session = await open(SPEC);
  send(session, fileOf({ seed: 1 }));
  assert.equal(send(session, fileOf({ seed: 2, names: NAMES.slice(1) })), false);
  assert.equal(send(session, fileOf({ seed: 3, names: NAMES.slice(2) })), false);
  assert.equal(send(session, fileOf({ seed: 4 })), true);
  const odd = fileOf({ seed: 5, names: [...NAMES.slice(1), "v99"] });
  assert.equal(codeOf(() => send(session, odd)), "unknown_variable");
});

Deno.test("a known file is refused as a new one is", async (t) => {
  const whole = fileOf({ seed: 1, metadata: { base_iteration: "0" } });
  const cases: Record<string, () => Uint8Array> = {
    "a byte is missing": () => whole.subarray(0, -1),
    "a byte follows": () => Uint8Array.from([...whole, 0]),
    "metadata that are no numbers": () => fileOf({ seed: 1, metadata: { base_iteration: "x" } }),
    "metadata that are misspelt": () => fileOf({ seed: 1, metadata: { base_iteratoin: "1" } }),
    "a flat tensor without indices": () => fileOf({ seed: 1, metadata: { flat: '["v1"]' } }),
    "a base iteration in the future": () => fileOf({ seed: 1, metadata: { base_iteration: "9" } }),
    "a number that is not finite": () => {
      const bytes = whole.slice();
      new DataView(bytes.buffer).setFloat32(bytes.length - 4, Infinity, true);
      return bytes;
    },
  };
  for (const [name, make] of Object.entries(cases)) {
    await t.step(name, async () => {
      const file = make();
      const fresh = await newRegistry().create(SPEC), known = await newRegistry().create(SPEC);
      send(known, whole);
      const before = stateOf(known);
      assert.equal(codeOf(() => send(known, file)), codeOf(() => send(fresh, file)));
      assert.deepEqual(stateOf(known), before);
    });
  }
});

Deno.test("headerKey() is that of the entries alone, and of each of their bytes", () => {
  const header = (file: Uint8Array) => {
    const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
    return file.slice(8, 8 + length);
  };
  const key = (bytes: Uint8Array) => headerKey(bytes)?.key;
  const plain = header(fileOf({ seed: 1 }));
  assert.equal(key(header(fileOf({ seed: 2, metadata: { weight: "2" } }))), key(plain));
  assert.equal(key(header(fileOf({ seed: 2, metadata: { "}": '"\\}', b: "{" } }))), key(plain));
  assert.notEqual(key(plain), undefined);
  for (let at = 1; at < plain.length - 8; at += 13) {
    const other = plain.slice();
    other[at] = (other[at] as number) ^ 1;
    assert.notEqual(key(other), key(plain), `${at}`);
  }
  const nested = new TextEncoder().encode(
    `{"__metadata__":{"a":{"b":"c"}},${new TextDecoder().decode(plain).slice(1)}`,
  );
  assert.equal(key(nested), undefined);
});

Deno.test("a run of many small variables is the same after its journal is replayed", async () => {
  await using world = await newWorld();
  await world.registry.create(SPEC);
  const files = [
    fileOf({ seed: 1, names: NAMES.slice(5) }),
    fileOf({ seed: 2 }),
    fileOf({ seed: 3 }),
    fileOf({ seed: 4, names: NAMES.slice(0, 30) }),
  ];
  let last = 0;
  for (const [n, file] of files.entries()) {
    await request(world.registry, "many", (session) => send(session, file));
    const before = stateOf(world.registry.get("many") as Session);
    const { journal_bytes } = world.registry.get("many").describe();
    // Once all slots are created, the order of a whole body is not told again.
    if (n === 2) assert(journal_bytes - last < 4 * VALUES + 200, `${journal_bytes - last}`);
    last = journal_bytes;
    await world.restart();
    assert.deepEqual(stateOf(world.registry.get("many") as Session), before);
  }
});
