/** Checkpoints for tests: taken from a run, tampered with, and put back. */
import type { Registry } from "../../../../src/run/registry/registry.ts";
import type { Session } from "../../../../src/run/session/session.ts";
import type { NamedTensor } from "../../../../src/tensor.ts";

/** A checkpoint as it lies in a file; the JSON of its metadata is open to changes. */
export interface Checkpoint {
  // deno-lint-ignore no-explicit-any -- tests reach into it to break it
  saved: any;
  tensors: NamedTensor[];
}

export function checkpointOf(session: Session): Checkpoint {
  const { metadata, tensors, release } = session.checkpoint();
  release();
  return { saved: JSON.parse(metadata["stepwell"] ?? ""), tensors: [...tensors] };
}

/** Puts it back as a reader of files does; gives up all memory when it is refused. */
export async function restore(
  registry: Registry,
  id: string,
  { saved, tensors }: Checkpoint,
): Promise<Session> {
  const restoration = registry.restore(id);
  try {
    const target = restoration.begin(new Map([["stepwell", JSON.stringify(saved)]]));
    for (const { name, shape, values } of tensors) {
      const sink = target.dense(name, { dtype: "F32", shape });
      const bytes = new Uint8Array(values.buffer);
      // In pieces of an odd length, as bodies come.
      for (let at = 0; at < bytes.length; at += 13) sink.write(bytes.subarray(at, at + 13));
      sink.close();
    }
    await restoration.commit();
  } finally {
    restoration.release();
  }
  return registry.get(id);
}
