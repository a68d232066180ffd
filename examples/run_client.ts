/**
 * One training run on a Stepwell service, seen from a client: create it, read it, send gradients. A few `fetch` calls; not a
 * library.
 */
import { decodeTensors, encodeTensors, type Tensor, type TensorFile } from "./safetensors.ts";

const SAFETENSORS = "application/vnd.safetensors";

export class RunClient {
  readonly #url: string;

  /** `service` is the service's address, `run` the id of a run that exists or will be created. */
  constructor(service: string, run: string) {
    this.#url = new URL(`/v1/runs/${run}`, service).href;
  }

  /** `spec` is the body of `POST /v1/runs` without the id. */
  async create(spec: { optimizer: unknown; variables: readonly unknown[] }): Promise<void> {
    const [runs, id] = [this.#url.slice(0, this.#url.lastIndexOf("/")), this.#url.split("/").at(-1)];
    await send(runs, { method: "POST", ...json({ id, ...spec }) });
  }

  async iterations(): Promise<number> {
    const response = await send(this.#url, {});
    return ((await response.json()) as { iterations: number }).iterations;
  }

  /** All variables, or those named. */
  async variables(...names: string[]): Promise<TensorFile> {
    const query = new URLSearchParams(names.map((name) => ["name", name]));
    return await tensorsOf(
      await send(`${this.#url}/variables?${query}`, { headers: { accept: SAFETENSORS } }),
    );
  }

  /** Rows of one variable: the way to read an embedding table that is too large to send around. */
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
   * Sends gradients, dense as `NAME` or sparse as `NAME#indices` with `NAME#values`, and comes back when the step was taken.
   * The metadata of the answer holds its figures.
   */
  async sendGradients(
    gradients: Readonly<Record<string, Tensor>>,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const response = await this.#post(gradients, metadata, {});
    await response.body?.cancel();
  }

  /** Sends gradients and brings back the variables as they are after the step: one request per training step. */
  async step(
    gradients: Readonly<Record<string, Tensor>>,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<TensorFile> {
    const headers = { prefer: "return=representation", accept: SAFETENSORS };
    return await tensorsOf(await this.#post(gradients, metadata, headers));
  }

  #post(
    gradients: Readonly<Record<string, Tensor>>,
    metadata: Readonly<Record<string, string>>,
    headers: Record<string, string>,
  ): Promise<Response> {
    return send(`${this.#url}/gradients`, {
      method: "POST",
      body: encodeTensors(gradients, metadata),
      headers: { "content-type": SAFETENSORS, ...headers },
    });
  }
}

function json(value: unknown): { body: string; headers: Record<string, string> } {
  return { body: JSON.stringify(value), headers: { "content-type": "application/json" } };
}

async function tensorsOf(response: Response): Promise<TensorFile> {
  return decodeTensors(await response.bytes());
}

/** `fetch` that throws what the service says when it refuses; STEPWELL_TOKEN, when set, goes along. */
async function send(
  url: string,
  request: RequestInit & { headers?: Record<string, string> },
): Promise<Response> {
  const token = Deno.env.get("STEPWELL_TOKEN");
  const headers = { ...request.headers, ...token ? { authorization: `Bearer ${token}` } : {} };
  const response = await fetch(url, { ...request, headers });
  if (!response.ok) throw new Error(`${response.status} from ${url}: ${await response.text()}`);
  return response;
}
