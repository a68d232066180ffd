/** What a worker replies when a loss throws: refusals as they are, and tfjs' way to say that its memory is full. */
import { StepwellError } from "../../errors.ts";
import type { Reply } from "../graph/messages.ts";

/** tfjs' heap is a WebAssembly memory, which cannot be larger than 4 GiB: it aborts then. */
const isFull = (error: unknown) =>
  (error instanceof WebAssembly.RuntimeError && error.message.startsWith("Aborted")) ||
  (error instanceof RangeError && /allocation|memory/i.test(error.message));

export function replyToError(error: unknown, heapBytes: number): Reply {
  if (error instanceof StepwellError) {
    const { code, message, issues } = error;
    return { kind: "refused", heapBytes, code, message, issues };
  }
  if (isFull(error)) {
    const message = "takes more memory than there is for one, must have smaller or fewer tensors";
    // Nothing works in that memory any more: whoever started the worker is to end it.
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
