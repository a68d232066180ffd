/** Changes during a snapshot: the flush of a change succeeds, whichever journal it goes to. */
import assert from "node:assert/strict";
import { atOnce } from "../../src/slices.ts";
import { localFiles } from "../../src/store/files.ts";
import { ConfigStore } from "../../src/store/kv.ts";
import { Room } from "../../src/store/room.ts";
import { RunStore } from "../../src/store/run_store.ts";

/** More turns of the microtask queue than a snapshot takes to begin the next journal. */
const TURNS = 40;

Deno.test("RunStore.durable() succeeds when a snapshot begins the next journal meanwhile", async () => {
  const folder = await Deno.makeTempDir({ prefix: "stepwell-faults-" });
  const configs = await ConfigStore.open(":memory:");
  const record = {
    id: "demo",
    incarnation: "only",
    sequence: 0,
    createdAt: "",
    snapshots: [],
    configParts: 0,
  };
  const store = new RunStore({
    files: localFiles,
    configs,
    folder,
    room: new Room({ files: localFiles, folder }),
  }, record);
  let version = 0, taken = 0;
  const take = () => ({
    place: { version, sequence: taken = version },
    pieces: [new Uint8Array(8)],
    config: "{}",
    // The snapshot owns its bytes.
    detach: () => true,
  });
  const change = async () => {
    store.append(1, [new Uint8Array(5)]);
    version += 1;
    await store.durable();
  };
  await store.create(take);
  for (let turns = 0; turns < TURNS; turns += 1) {
    await change();
    const snapshot = store.snapshot(take);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    await change();
    await snapshot;
  }
  store.close();
  let read = 0;
  atOnce(store.opening({
    onSnapshot: () => ({ *write() {}, close: () => ({ sequence: taken }) }),
    onRecord: () => void (read += 1),
  }));
  assert.equal(read, version - taken);
  configs.close();
  await Deno.remove(folder, { recursive: true });
});
