/**
 * What a page tries that the service must not let read or change anything. `attack` returns, by attempt, what the page
 * could read; "nothing" if it could not.
 */

const SPEC = JSON.stringify({ id: "taken", optimizer: "SGD", variables: [{ name: "w", shape: [1] }] });
const GRADIENTS = JSON.stringify({ gradients: { w: [1, 1] } });
const NOTHING = "nothing";

const BODIES = {
  "POST /v1/runs": SPEC,
  "POST /v1/runs/demo/gradients": GRADIENTS,
  "PUT /v1/runs/demo/variables": JSON.stringify({ variables: { w: [9, 9] } }),
  "PATCH /v1/runs/demo/optimizer": JSON.stringify({ config: { learning_rate: 9 } }),
  "DELETE /v1/runs/demo": undefined,
  "GET /v1/runs": undefined,
  "GET /v1/runs/demo/variables": undefined,
  "GET /v1/runs/demo/checkpoint": undefined,
  "GET /metrics": undefined,
};

async function readOf(response) {
  try {
    const { type, status } = await response;
    return type === "opaque" ? NOTHING : `${status} ${await (await response).text()}`;
  } catch {
    return NOTHING;
  }
}

/** Resolves when the element has loaded or failed: what it says of its contents. */
const loaded = (tag, attributes, read = () => NOTHING) =>
  new Promise((resolve) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.onload = () => resolve(read(element));
    element.onerror = () => resolve(NOTHING);
    document.body.append(element);
  });

/** Sends a form into a frame, as a click would. */
const submitted = (attributes, field) =>
  new Promise((resolve) => {
    const frame = Object.assign(document.createElement("iframe"), { name: `frame-${Math.random()}` });
    document.body.append(frame);
    const form = Object.assign(document.createElement("form"), { ...attributes, target: frame.name });
    if (field) form.append(Object.assign(document.createElement("input"), field));
    document.body.append(form);
    frame.onload = () => {
      let text;
      try {
        text = frame.contentDocument?.body.innerText;
      } catch {
        // A frame of another origin.
      }
      resolve(text ? text : NOTHING);
    };
    form.submit();
  });

const JSON_TYPE = { "Content-Type": "application/json" };

/** `service`: where the page believes the service is; "" for its own origin. */
globalThis.attack = async (service) => {
  const found = {};
  for (const [what, body] of Object.entries(BODIES)) {
    const [method, path] = what.split(" "), url = service + path;
    found[`cors ${what}`] = await readOf(fetch(url, { method, body, ...body && { headers: JSON_TYPE } }));
    if (method === "GET" || method === "POST") {
      // Without a preflight: a type that forms have, which the service must not take for JSON.
      for (const type of ["text/plain", "application/x-www-form-urlencoded"]) {
        const headers = body && { "Content-Type": type };
        const mode = "no-cors", credentials = "include";
        found[`no-cors ${type} ${what}`] = await readOf(
          fetch(url, { method, body, headers, mode, credentials }),
        );
      }
      // The Blob's type is JSON's, which no-cors drops.
      const blob = body && new Blob([body], { type: "application/json" });
      found[`no-cors blob ${what}`] = await readOf(fetch(url, { method, body: blob, mode: "no-cors" }));
    }
  }
  const runs = `${service}/v1/runs`, demo = `${runs}/demo`;
  const [before, after] = SPEC.replace('"taken"', '"taken","x":"=').split("=");
  for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
    const field = { name: before, value: `"${after}` };
    found[`form ${enctype}`] = await submitted({ action: runs, method: "post", enctype }, field);
    found[`form of gradients ${enctype}`] = await submitted(
      { action: `${demo}/gradients`, method: "post", enctype },
      { name: GRADIENTS, value: "" },
    );
  }
  found["form GET"] = await submitted({ action: runs, method: "get" });
  found["img"] = await loaded("img", { src: `${demo}/variables` }, ({ width }) => `${width} pixels`);
  found["script"] = await loaded("script", { src: runs });
  found["module"] = await loaded("script", { type: "module", src: `${demo}/variables` });
  found["style"] = await loaded("link", { rel: "stylesheet", href: `${service}/metrics` });
  found["object"] = await loaded("object", { data: `${demo}/variables` });
  found["iframe"] = await loaded("iframe", { src: `${demo}/variables` }, (frame) => {
    try {
      return frame.contentDocument?.body.innerText || NOTHING;
    } catch {
      return NOTHING;
    }
  });
  found["beacon"] = navigator.sendBeacon(runs, new Blob([SPEC], { type: "text/plain" }))
    ? NOTHING
    : "not sent";
  found["events"] = await new Promise((resolve) => {
    const events = new EventSource(`${demo}/events`);
    events.onopen = () => resolve("open");
    events.onerror = () => resolve(NOTHING);
  });
  found["socket"] = await new Promise((resolve) => {
    const socket = new WebSocket(`${(service || location.origin).replace("http", "ws")}/v1/runs`);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve(NOTHING);
  });
  return found;
};
