/**
 * What a page of an allowed origin does with a service at another address: it trains a run, in JSON and safetensors,
 * while it reads the run's events. `train` returns what the page could see.
 */

const FILE_TYPE = "application/vnd.safetensors";

function fileOf(name, values) {
  const header = JSON.stringify({
    [name]: { dtype: "F32", shape: [values.length], data_offsets: [0, 4 * values.length] },
  });
  const bytes = new TextEncoder().encode(header);
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, BigInt(bytes.length), true);
  return new Blob([length, bytes, values]);
}

function valuesOf(buffer, name) {
  const start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  const { data_offsets } = JSON.parse(new TextDecoder().decode(buffer.slice(8, start)))[name];
  return new Float32Array(buffer.slice(start + data_offsets[0], start + data_offsets[1]));
}

/** Minimizes the distance of `w` to `goal`. */
globalThis.train = async (service, goal) => {
  const json = { "Content-Type": "application/json" };
  const ask = (path, init) => fetch(service + path, init);
  const created = await ask("/v1/runs", {
    method: "POST",
    headers: { ...json, "Idempotency-Key": "create" },
    body: JSON.stringify({
      id: "page",
      optimizer: { class_name: "SGD", config: { learning_rate: 0.5 } },
      variables: [{ name: "w", shape: [goal.length] }],
    }),
  });
  const run = created.headers.get("Location");
  const seen = { created: [created.status, run, created.headers.get("ETag")], events: [], steps: [] };

  const events = new EventSource(`${service}${run}/events`);
  const enough = Promise.withResolvers();
  events.addEventListener("step_applied", ({ lastEventId, data }) => {
    seen.events.push([lastEventId, JSON.parse(data).iterations]);
    if (seen.events.length === 8) enough.resolve();
  });
  events.onerror = () => enough.reject(new Error("The events cannot be read"));
  await new Promise((resolve) => events.onopen = resolve);

  let etag = created.headers.get("ETag");
  for (let n = 0; n < 8; n += 1) {
    const read = await ask(`${run}/variables`, { headers: { Accept: FILE_TYPE } });
    const gradient = valuesOf(await read.arrayBuffer(), "w").map((w, at) => w - goal[at]);
    const asFile = n % 2 === 0;
    const send = () =>
      ask(`${run}/gradients`, {
        method: "POST",
        headers: {
          "Content-Type": asFile ? FILE_TYPE : "application/json",
          "Idempotency-Key": `step-${n}`,
          "If-Match": etag,
          Prefer: "return=representation",
        },
        body: asFile ? fileOf("w", gradient) : JSON.stringify({ gradients: { w: [...gradient] } }),
      });
    const stepped = await send(), again = await send();
    seen.steps.push([
      stepped.status,
      stepped.headers.get("Preference-Applied"),
      stepped.headers.get("Idempotency-Replayed"),
      again.headers.get("Idempotency-Replayed"),
    ]);
    etag = stepped.headers.get("ETag");
  }
  await enough.promise;
  events.close();

  const { variables } = await (await ask(`${run}/variables`)).json();

  const patched = await ask(`${run}/optimizer`, {
    method: "PATCH",
    headers: json,
    body: JSON.stringify({ config: { learning_rate: 0.25 } }),
  });
  const set = await ask(`${run}/variables`, {
    method: "PUT",
    headers: json,
    body: JSON.stringify({ variables: { w: goal } }),
  });
  const late = await ask(`${run}/gradients`, {
    method: "POST",
    headers: { ...json, "If-Match": etag },
    body: JSON.stringify({ gradients: { w: goal } }),
  });
  const deleted = await ask(run, { method: "DELETE" });
  return {
    ...seen,
    etag,
    statuses: [patched.status, set.status, late.status, deleted.status],
    refused: (await late.json()).code,
    trained: variables.w,
  };
};
