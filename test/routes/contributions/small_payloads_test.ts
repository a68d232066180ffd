/** Gradients in compact forms over HTTP: files, JSON and plain numbers give one gradient; refusals change nothing. */
import assert from "node:assert/strict";
import type { ErrorCode } from "../../../src/errors.ts";
import {
  assertProblem,
  f32,
  file,
  FILE_TYPE,
  i64,
  JSON_TYPE,
  type Service,
  startRun,
  startService,
  stateOf,
} from "../support/harness.ts";

type FileTensor = Parameters<typeof file>[0][string];

const PATH = "/v1/runs/demo/gradients";
const i8 = (shape: readonly number[], values: readonly number[]): FileTensor => ({
  dtype: "I8",
  shape,
  bytes: new Uint8Array(Int8Array.from(values).buffer),
});
const f16 = (shape: readonly number[], values: readonly number[]): FileTensor => ({
  dtype: "F16",
  shape,
  bytes: new Uint8Array(Float16Array.from(values).buffer),
});
const base64 = ({ shape, bytes }: FileTensor, dtype: string) => ({ dtype, shape, base64: bytes.toBase64() });

/** kernel: int8 in blocks of 4; bias: flat; emb: rows of int8; scale: flat int8. */
const KERNEL = i8([2, 3], [127, -128, 0, 1, -2, 3]);
const ROWS = i8([3, 2], [1, 2, 3, 4, 5, 6]);
const ENTRIES = f16([3], [1, 0.5, 0.25]);
const COMPACT = {
  kernel: KERNEL,
  "kernel#scale": f32([2], [0.5, -2]),
  "bias#indices": i64([3], [2, 0, 2]),
  "bias#values": ENTRIES,
  "emb#indices": i64([3], [3, 0, 3]),
  "emb#values": ROWS,
  "emb#scale": f32([2], [1, 0.125]),
  "scale#indices": i64([1], [0]),
  "scale#values": i8([1], [-100]),
  "scale#scale": f32([1], [0.01]),
};
const METADATA = { block: "4", flat: '["bias", "scale"]' };
const IN_JSON = {
  kernel: { values: base64(KERNEL, "int8"), scale: [0.5, -2], block: 4 },
  bias: { indices: [2, 0, 2], values: base64(ENTRIES, "float16"), flat: true },
  emb: { indices: [3, 0, 3], values: base64(ROWS, "int8"), scale: [1, 0.125], block: 4 },
  scale: { indices: [0], values: base64(i8([1], [-100]), "int8"), scale: [0.01], flat: true },
};
const PLAIN = {
  kernel: [[63.5, -64, 0], [0.5, 4, -6]],
  bias: [0.5, 0, 1.25],
  emb: { indices: [3, 0, 3], values: [[1, 2], [3, 4], [0.625, 0.75]] },
  scale: Math.fround(Math.fround(0.01) * -100),
};

async function stepped(body: unknown): Promise<{ answer: unknown; state: string }> {
  const service = startService();
  await startRun(service);
  const response = await service.send("POST", PATH, { body });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const { variables, ...rest } = JSON.parse(text);
  return { answer: [rest, Object.entries(variables).toSorted()], state: await stateOf(service) };
}

Deno.test("apply_gradients makes the same step from a gradient in compact forms, as file or JSON, and from a plain one", async () => {
  const plain = await stepped({ gradients: PLAIN });
  const names = Object.keys(COMPACT) as (keyof typeof COMPACT)[];
  for (const order of [names, names.toReversed()]) {
    const tensors = Object.fromEntries(order.map((name) => [name, COMPACT[name]]));
    const { answer } = await stepped(file(tensors, METADATA));
    assert.deepEqual(answer, plain.answer);
  }
  const inJson = await stepped({ gradients: IN_JSON });
  assert.deepEqual(inJson.answer, plain.answer);
  assert.equal(inJson.state, plain.state);
});

Deno.test("apply_gradients takes compact forms together with other fields and an encoding", async () => {
  const service = startService();
  await startRun(service);
  const body = file(COMPACT, { ...METADATA, client_id: "phone-7", weight: "3", base_iteration: "1" });
  const encoded = await new Response(
    new Blob([body]).stream().pipeThrough(new CompressionStream("gzip")),
  ).bytes();
  const response = await service.send("POST", PATH, {
    body: encoded,
    headers: { "Content-Encoding": "gzip" },
  });
  assert.equal(response.status, 200, await response.text());
});

const EMB = { "emb#indices": i64([2], [7, 0]), "emb#values": f32([2], [1, 2]) };

const REFUSED: readonly [what: string, body: unknown, code: ErrorCode, path: string | undefined, RegExp][] = [
  [
    "int8 alone",
    file({ bias: i8([3], [1, 2, 3]) }),
    "dtype_mismatch",
    "gradients.bias",
    /I8 without a scale/,
  ],
  [
    "int8 alone in JSON",
    { gradients: { bias: base64(i8([3], [1, 2, 3]), "int8") } },
    "dtype_mismatch",
    "gradients.bias",
    /I8 without a scale/,
  ],
  [
    "a scale too many",
    file({ bias: i8([3], [1, 2, 3]), "bias#scale": f32([2], [1, 1]) }),
    "shape_mismatch",
    "bias",
    /scale of shape \[2\], must have \[1\]: one for each block of 64 of its 3 values/,
  ],
  [
    "int8 of another shape",
    file({ bias: i8([4], [1, 2, 3, 4]), "bias#scale": f32([1], [1]) }),
    "shape_mismatch",
    "gradients.bias",
    /has shape \[4\], must be \[3\]/,
  ],
  [
    "a scale that is not finite",
    file({ bias: i8([3], [1, 0, 3]), "bias#scale": f32([1], [Infinity]) }),
    "non_finite_gradient",
    "gradients.bias",
    /is Infinity at \[0\]/,
  ],
  [
    "a flat index out of range",
    file({ "emb#indices": i64([2], [7, 8]), "emb#values": f32([2], [1, 2]) }, { flat: "*" }),
    "index_out_of_range",
    "gradients.emb.indices.1",
    /is 8, must be from 0 to 7/,
  ],
  [
    "a flat index out of range in JSON",
    { gradients: { emb: { indices: [-1], values: [1], flat: true } } },
    "index_out_of_range",
    "gradients.emb.indices.0",
    /is -1, must be from 0 to 7/,
  ],
  [
    "flat entries as rows",
    file(EMB),
    "shape_mismatch",
    "gradients.emb#values",
    /has shape \[2\], must be \[2, 2\]/,
  ],
  [
    "flat of nobody",
    file(EMB, { flat: '["bias"]' }),
    "invalid_request",
    "__metadata__.flat",
    /names "bias", which has no indices/,
  ],
  [
    "a block of 0",
    file(COMPACT, { ...METADATA, block: "0" }),
    "invalid_request",
    "__metadata__.block",
    /from 1/,
  ],
  [
    "an unknown variable",
    file({ x: i8([], [1]), "x#scale": f32([1], [1]) }),
    "unknown_variable",
    undefined,
    /x/,
  ],
];

async function assertRefused(
  service: Service,
  response: Response,
  [code, path, pattern]: [ErrorCode, string | undefined, RegExp],
): Promise<void> {
  const { status } = response;
  const { detail, issues } = await assertProblem(response, code, status);
  assert.match(detail, pattern);
  if (path !== undefined) assert.equal(issues[0]?.path, path);
  assert.equal(service.registry.figures().stagingBytes, 0);
}

Deno.test("apply_gradients refuses compact forms that do not fit, and changes nothing", async (t) => {
  const service = startService();
  await startRun(service);
  const before = await stateOf(service);
  for (const [what, body, code, path, pattern] of REFUSED) {
    await t.step(what, async () => {
      await assertRefused(service, await service.send("POST", PATH, { body }), [code, path, pattern]);
      assert.equal(await stateOf(service), before);
    });
  }
});

Deno.test("apply_gradients discards a compact body that ends early, wherever it ends", async () => {
  const service = startService();
  await startRun(service);
  const before = await stateOf(service);
  const body = file(COMPACT, METADATA);
  for (let cut = 8; cut < body.length; cut += 5) {
    const stream = new Blob([body.subarray(0, cut)]).stream();
    const headers = { "Content-Type": FILE_TYPE };
    const response = await service.send("POST", PATH, { body: stream, headers });
    await assertProblem(response, "incomplete_body", 400);
    assert.equal(service.registry.figures().stagingBytes, 0);
  }
  assert.equal(await stateOf(service), before);
});

Deno.test("operations that set values refuse compact forms", async () => {
  const service = startService();
  await startRun(service);
  const before = await stateOf(service);
  const bias = { bias: i8([3], [1, 2, 3]), "bias#scale": f32([1], [1]) };
  const put = (path: string, body: unknown) => service.send("PUT", `/v1/runs/demo${path}`, { body });
  const compact = /compact form, must be plain/;
  await assertRefused(service, await put("/variables", file(bias)), [
    "invalid_request",
    "variables.bias",
    compact,
  ]);
  const inJson = { variables: { bias: { values: base64(bias.bias, "int8"), scale: [1] } } };
  await assertRefused(service, await put("/variables", inJson), [
    "invalid_request",
    "variables.bias",
    compact,
  ]);
  await assertRefused(service, await put("/variables", file({ bias: bias.bias }, { block: "1" })), [
    "invalid_request",
    "__metadata__.block",
    /must not hold "block"/,
  ]);
  const first = { "0": i8([], [1]), "0#scale": f32([1], [1]) };
  await assertRefused(service, await put("/weights", file(first)), ["invalid_request", "0", compact]);
  const { headers } = await service.send("GET", "/v1/runs/demo", { headers: { Accept: JSON_TYPE } });
  assert.equal(headers.get("ETag"), '"v1"');
  assert.equal(await stateOf(service), before);
});
