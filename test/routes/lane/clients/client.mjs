// Node's fetch as it is.
import process from "node:process";

const STEPS = "/v1/runs/client/gradients", STEP = '{"gradients":{"w":[1,2]}}';

async function ask(method, path, body, tag) {
  const headers = { "Content-Type": "application/json", ...tag && { "If-None-Match": tag } };
  const url = process.env["STEPWELL_URL"] + path;
  const answer = await fetch(url, { method, body, headers, ...body && { duplex: "half" } });
  await answer.arrayBuffer();
  console.log(answer.status);
  return answer.headers.get("ETag");
}

await ask("GET", "/healthz");
await ask("POST", "/v1/runs", '{"id":"client","optimizer":"SGD","variables":[{"name":"w","shape":[2]}]}');
let tag;
for (let count = 0; count < 5; count++) tag = await ask("POST", STEPS, STEP);
// Of unknown length: in chunks.
await ask("POST", STEPS, new Blob([STEP]).stream());
await ask("POST", STEPS, "{");
await ask("GET", "/v1/runs/client/variables", undefined, tag);
await ask("GET", "/v1/runs/client/variables", undefined, '"v6"');
await ask("HEAD", "/v1/runs/client");
await ask("DELETE", "/v1/runs/client");
await ask("GET", "/v1/runs/client");
