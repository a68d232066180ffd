/**
 * A client of one training run on a Stepwell service: creates it, reads it, sends gradients or losses. A few
 * `fetch` calls, not a library.
 */
import { decodeTensors, encodeTensors, type Tensor, type TensorFile } from "./safetensors.ts";

const SAFETENSORS = "application/vnd.safetensors";
/** The longest time that the service may delay an answer. */
const WAIT_SECONDS = 60;

export class RunClient {
  readonly #url: string;

  /** `service` is the service's address, `run` the id of a run that exists or will be created. */
  constructor(service: string, run: string) {
    this.#url = new URL(`/v1/runs/${run}`, service).href;
  }

  /** `spec` is the body of `POST /v1/runs` without the id. */
  async create(
    spec: { optimizer: unknown; variables: readonly unknown[]; aggregation?: unknown },
  ): Promise<void> {
    const [runs, id] = [this.#url.slice(0, this.#url.lastIndexOf("/")), this.#url.split("/").at(-1)];
    await send(runs, { method: "POST", ...json({ id, ...spec }) });
  }

  async iterations(): Promise<number> {
    const response = await send(this.#url, {});
    return ((await response.json()) as { iterations: number }).iterations;
  }

  /** All variables, or the named ones. */
  async variables(...names: string[]): Promise<TensorFile> {
    const query = new URLSearchParams(names.map((name) => ["name", name]));
    return await tensorsOf(
      await send(`${this.#url}/variables?${query}`, { headers: { accept: SAFETENSORS } }),
    );
  }

  /** Waits until the run has made more steps than `iteration`, then returns all variables. */
  async variablesAfter(iteration: number): Promise<TensorFile> {
    const headers = { accept: SAFETENSORS, prefer: `wait=${WAIT_SECONDS}` };
    for (;;) {
      const response = await request(`${this.#url}/variables?after_iteration=${iteration}`, { headers });
      // 304: no newer step within the wait, so ask again.
      if (response.status !== 304) return await tensorsOf(await accepted(response));
    }
  }

  /** Rows of one variable: for an embedding table that is too large to send whole. */
  async gather(name: string, indices: readonly number[]): Promise<Float32Array> {
    const { body, headers } = json({ name, indices });
    const file = await tensorsOf(
      await send(`${this.#url}/variables/gather`, {
        method: "POST",
        body,
        headers: { ...headers, accept: SAFETENSORS },
      }),
    );
    const tensor = file.tensors.get(name);
    if (!(tensor?.values instanceof Float32Array)) {
      throw new Error(`Cannot gather: no tensor ${name} came back`);
    }
    return tensor.values;
  }

  /**
   * Sends gradients, dense as `NAME` or sparse as `NAME#indices` with `NAME#values`. Resolves when the step was
   * taken.
   */
  async sendGradients(
    gradients: Readonly<Record<string, Tensor>>,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const response = await this.#post(gradients, metadata, {});
    await response.body?.cancel();
  }

  /** Sends gradients and returns the variables after the step: one request per training step. */
  async step(
    gradients: Readonly<Record<string, Tensor>>,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<TensorFile> {
    const headers = { prefer: "return=representation", accept: SAFETENSORS };
    return await tensorsOf(await this.#post(gradients, metadata, headers));
  }

  /**
   * Lets the service evaluate a loss, differentiate it and step. `request` is the body of `POST …/minimize`.
   * Returns the loss before the step.
   */
  async minimize(request: Readonly<Record<string, unknown>>): Promise<number> {
    const response = await send(`${this.#url}/minimize`, { method: "POST", ...json(request) });
    return ((await response.json()) as { loss: number }).loss;
  }

  /**
   * Contributes to the open round and waits for its end. Returns "applied" when the round became a step, "open"
   * when it is still open after the wait, and otherwise the code of the refusal: "too_stale", "round_dropped", ….
   */
  async contribute(
    tensors: Readonly<Record<string, Tensor>>,
    metadata: Readonly<Record<string, string>>,
  ): Promise<string> {
    const headers = { prefer: `wait=${WAIT_SECONDS}` };
    const response = await request(`${this.#url}/gradients`, gradientsRequest(tensors, metadata, headers));
    if (response.status !== 409) await accepted(response);
    const { applied, code } = (await response.json()) as { applied?: boolean; code?: string };
    return code ?? (applied ? "applied" : "open");
  }

  #post(
    gradients: Readonly<Record<string, Tensor>>,
    metadata: Readonly<Record<string, string>>,
    headers: Record<string, string>,
  ): Promise<Response> {
    return send(`${this.#url}/gradients`, gradientsRequest(gradients, metadata, headers));
  }
}

function json(value: unknown): { body: string; headers: Record<string, string> } {
  return { body: JSON.stringify(value), headers: { "content-type": "application/json" } };
}

async function tensorsOf(response: Response): Promise<TensorFile> {
  return decodeTensors(await response.bytes());
}

type Request = RequestInit & { headers?: Record<string, string> };

function gradientsRequest(
  gradients: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>>,
  headers: Record<string, string>,
): Request {
  const body = encodeTensors(gradients, metadata);
  return { method: "POST", body, headers: { "content-type": SAFETENSORS, ...headers } };
}

/** `fetch` that throws an error with the service's message when the service refuses. */
async function send(url: string, init: Request): Promise<Response> {
  return await accepted(await request(url, init));
}

/** `fetch` with STEPWELL_TOKEN as the bearer token, if it is set. */
async function request(url: string, init: Request): Promise<Response> {
  const token = Deno.env.get("STEPWELL_TOKEN");
  const headers = { ...init.headers, ...token ? { authorization: `Bearer ${token}` } : {} };
  return await fetch(url, { ...init, headers });
}

async function accepted(response: Response): Promise<Response> {
  if (response.ok) return response;
  throw new Error(`${response.status} from ${response.url}: ${await response.text()}`);
}
