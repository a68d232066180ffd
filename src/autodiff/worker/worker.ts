/**
 * The worker that evaluates losses: one job at a time, one reply per job, no state between jobs. It has no
 * permissions, and it enforces the time limit itself, because the service cannot do it from outside (deadline.ts).
 */
import { within } from "./deadline.ts";
import { evaluate } from "./evaluate.ts";
import { replyToError } from "./failures.ts";
import type { Evaluation, Reply, Request } from "../graph/messages.ts";
import { loadTfjs } from "./tfjs.ts";

interface WorkerScope {
  postMessage(message: Reply, transfer: Transferable[]): void;
  onmessage: (event: MessageEvent<Request>) => void;
}
const scope = self as unknown as WorkerScope;

const tf = await loadTfjs();
const now = () => performance.now();
scope.onmessage = ({ data }) => {
  const reply = replyTo(data);
  scope.postMessage(reply, reply.kind === "done" ? buffersOf(reply.evaluation) : []);
};
scope.postMessage({ kind: "ready" }, []);

function buffersOf({ loss, gradients, updates }: Evaluation): ArrayBuffer[] {
  const indices = gradients.flatMap((gradient) => "indices" in gradient ? [gradient.indices.buffer] : []);
  return [loss, ...gradients, ...updates].map(({ values }) => values.buffer).concat(indices);
}

/** The size of tfjs' heap, which grows and never shrinks. */
function heapBytes(): number {
  const { wasm } = tf.backend() as unknown as { readonly wasm: { readonly HEAPU8: Uint8Array } };
  return wasm.HEAPU8.buffer.byteLength;
}

function replyTo({ job, seconds }: Request): Reply {
  try {
    const evaluation = within(tf, { seconds, now }, () => evaluate(tf, job));
    return { kind: "done", heapBytes: heapBytes(), evaluation };
  } catch (error) {
    return replyToError(error, heapBytes());
  }
}
