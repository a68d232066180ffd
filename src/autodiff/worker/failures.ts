/** The reply of a worker when a loss throws: it passes on refusals, and recognizes that tfjs' memory is full. */
import { StepwellError } from "../../errors.ts";
import type { Reply } from "../graph/messages.ts";

/** tfjs aborts when its heap, a WebAssembly memory, would exceed 4 GiB. */
const isFull = (error: unknown) =>
  (error instanceof WebAssembly.RuntimeError && error.message.startsWith("Aborted")) ||
  (error instanceof RangeError && /allocation|memory/i.test(error.message));

export function replyToError(error: unknown, heapBytes: number): Reply {
  if (error instanceof StepwellError) {
    const { code, message, issues } = error;
    return { kind: "refused", heapBytes, code, message, issues };
  }
  if (isFull(error)) {
    const message = "takes more memory than a loss may have, must have smaller or fewer tensors";
    // Nothing works in that memory any more, so the service must end the worker.
    return {
      kind: "refused",
      heapBytes: Infinity,
      code: "loss_too_large",
      message: `Cannot evaluate the loss: it ${message}`,
      issues: [{ path: "loss", message }],
    };
  }
  return { kind: "failed", error: error instanceof Error ? error.stack ?? error.message : String(error) };
}
