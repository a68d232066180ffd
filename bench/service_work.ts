/**
 * A Stepwell service as a contender: a process with one Adam run, which gets safetensors gradients over one
 * connection.
 */
import { decodeTensors, encodeTensors } from "../examples/safetensors.ts";
import { startService } from "../examples/service_process.ts";
import { HttpConnection } from "./http_connection.ts";
import { MEMBERS } from "./kernel_step.ts";

export const SAFETENSORS = "application/vnd.safetensors";

export interface BenchedService {
  readonly pid: number;
  readonly url: string;
  readonly connection: HttpConnection;
  /** Sends one gradient and takes one step; with `dryRun` the service only receives and checks the gradient. */
  step(options?: { dryRun?: boolean }): Promise<void>;
  /** The current values of the variable. */
  values(): Promise<Float32Array>;
  stop(): Promise<void>;
}

/** Starts a service with the run `bench`: the variable `w` of zeros with the shape of `gradient`, and Adam. */
export async function startBenchedService(gradient: Float32Array): Promise<BenchedService> {
  const service = await startService();
  const connection = await HttpConnection.open(service.url);
  const shape = [gradient.length];
  // The rivals keep nothing on disk; durability.ts measures the cost of the journal.
  const spec = {
    id: "bench",
    optimizer: MEMBERS.Adam,
    variables: [{ name: "w", shape }],
    durability: "none",
  };
  await connection.request("POST", "/v1/runs", { body: new TextEncoder().encode(JSON.stringify(spec)) });
  const body = encodeTensors({ w: { shape, values: gradient } });
  return {
    pid: service.pid,
    url: service.url,
    connection,
    async step({ dryRun = false } = {}) {
      await connection.request("POST", `/v1/runs/bench/gradients${dryRun ? "?dry_run=true" : ""}`, {
        type: SAFETENSORS,
        body,
      });
    },
    async values() {
      const answer = await connection.request("GET", "/v1/runs/bench/variables", { accept: SAFETENSORS });
      return decodeTensors(answer.body).tensors.get("w")?.values as Float32Array;
    },
    async stop() {
      connection.close();
      await service.stop();
    },
  };
}
