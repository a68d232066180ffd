/** The other actors of a simulation: one that changes runs, watchers of events, the sweeper, disasters. */
import assert from "node:assert/strict";
import { below, pick } from "../../faults/support/bodies.ts";
import { setVariables, tensor } from "../support/harness.ts";
import { type Client, persist, wait } from "./clients.ts";
import { setRate, setVariable } from "./model.ts";

/** Sometimes changes runs while clients contribute to them. */
export async function meddle(client: Client, untilMs: number): Promise<void> {
  const { service, ledger, next } = client;
  while (service.clock.now < untilMs) {
    await wait(client, 20_000);
    const { name, shape, initial } = pick(next, ledger.plan.variables);
    const values = initial.map(() => below(next, 9) - 4), rate = pick(next, [0.5, 0.1, 0.25]);
    const setsRate = next() < 0.5;
    await persist(client, () =>
      service.request(ledger, (session) =>
        setsRate
          ? ledger.make(
            session,
            (state) => setRate(state, rate),
            () => session.patchOptimizer({ learning_rate: rate }),
          )
          : ledger.make(
            session,
            (state) => setVariable(state, name, values),
            () => setVariables(session, { [name]: tensor(shape, values) }),
          )));
  }
}

/** Follows the events of a run: it must get each one once and in order. */
export async function watch(client: Client, untilMs: number): Promise<void> {
  const { service, ledger } = client;
  let last: string | undefined, reloads = 0;
  while (service.clock.now < untilMs) {
    await wait(client, 10_000);
    const { told, all, ...seen } = await persist(client, () =>
      service.request(ledger, ({ events }) => ({
        told: events.since(last ?? ""),
        all: ledger.events(),
        last: events.last,
        reloads: ledger.reloads,
      })));
    const known = last === undefined ? [] : all.filter(({ id }) => !isAfter(id, last as string));
    const wanted = all.slice(told.missed ? all.length - told.events.length : known.length);
    assert.deepEqual(told.events, wanted, `events of ${ledger.plan.id}`);
    // A new process lacks events from before the last snapshot, and reports that.
    if (told.missed) assert.ok(last === undefined || seen.reloads > reloads, "Events are missing");
    ({ last, reloads } = seen);
  }
}

/** In order of the change, then of the index among its events. */
function isAfter(a: string, b: string): boolean {
  const [change = 0, place = 0] = a.split(".").map(Number);
  const [otherChange = 0, otherPlace = 0] = b.split(".").map(Number);
  return change > otherChange || (change === otherChange && place > otherPlace);
}

/** Kills, power failures, restarts and full disks. */
export async function disturb({ service, next }: Client, untilMs: number): Promise<void> {
  while (service.clock.now < untilMs) {
    await service.clock.sleep(2000 + below(next, 15_000));
    if (next() < 0.3) await service.fillDisk(500 + below(next, 2000), pick(next, [300, Infinity]));
    else await service.restart(pick(next, ["kill", "kill", "power cut", "stop"]), below(next, 4000));
  }
}

export async function sweep({ service }: Client, untilMs: number): Promise<void> {
  while (service.clock.now < untilMs) {
    await service.clock.sleep(1000);
    await service.sweep();
  }
}
