/** Helpers that the tests of single faults share: a folder, a stage, an empty world. */
import type { Stage } from "./clients.ts";
import type { World } from "./passer_by.ts";
import type { Server } from "./server.ts";
import { Twin } from "./twin.ts";

/** Runs `act` with a temporary folder, and removes the folder unless `act` fails. */
export async function withFolder(act: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stepwell-faults-" });
  await act(folder);
  await Deno.remove(folder, { recursive: true });
}

/** A stage whose clients work until `end` is called. */
export function stageOf(server: Server): Stage & { end: () => void } {
  let stops = false;
  return {
    server,
    stopped: () => stops,
    figures: { answers: 0, retries: 0, replays: 0 },
    end: () => void (stops = true),
  };
}

export const newWorld = (): World => ({ twin: new Twin(), lives: new Map(), deleted: [], created: [] });
