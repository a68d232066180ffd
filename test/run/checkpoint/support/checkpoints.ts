/** Checkpoints for tests: taken from a run, tampered with, and put back. */
import type { Registry } from "../../../../src/run/registry/registry.ts";
import type { Session } from "../../../../src/run/session/session.ts";
import type { NamedTensor } from "../../../../src/tensor.ts";
import { atOnce } from "../../../../src/slices.ts";

/** The contents of a checkpoint's file; tests may change the JSON of its metadata. */
export interface Checkpoint {
  // deno-lint-ignore no-explicit-any -- tests change it freely
  saved: any;
  tensors: NamedTensor[];
}

export function checkpointOf(session: Session): Checkpoint {
  const { metadata, tensors, release } = session.checkpoint();
  release();
  return { saved: JSON.parse(metadata["stepwell"] ?? ""), tensors: [...tensors] };
}

/** Restores it as a reader of files does; releases all memory if it is refused. */
export async function restore(
  registry: Registry,
  id: string,
  { saved, tensors }: Checkpoint,
): Promise<Session> {
  const restoration = registry.restore(id);
  try {
    const target = atOnce(restoration.begin(new Map([["stepwell", JSON.stringify(saved)]])));
    for (const { name, shape, values } of tensors) {
      const sink = target.dense(name, { dtype: "F32", shape });
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      // Pieces have an odd length, as with real bodies.
      for (let at = 0; at < bytes.length; at += 13) sink.write(bytes.subarray(at, at + 13));
      sink.close();
    }
    await restoration.commit();
  } finally {
    restoration.release();
  }
  return registry.get(id);
}
