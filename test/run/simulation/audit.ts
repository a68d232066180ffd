/** The final checks of a simulation: every change was made exactly once, and no memory is left in use. */
import assert from "node:assert/strict";
import type { Ledger } from "./ledger.ts";
import { passTime } from "./model.ts";
import type { Service } from "./service.ts";

export async function audit(service: Service, acknowledged: ReadonlySet<string>): Promise<void> {
  // Due changes of a run that was not read since the last restart are made when it is read.
  await happen(service, openAll(service));
  for (const { plan, state } of service.ledgers) {
    assert.equal(passTime(plan, state, service.clock.now), undefined, `${plan.id} is overdue`);
  }
  checkOnce(service.ledgers, acknowledged);
  await happen(service, auditMemory(service));
}

/** Lets time pass until all due changes have been made. */
async function happen({ clock, settled, failures }: Service, work: Promise<unknown>): Promise<void> {
  work.catch((error) => failures.push(error));
  await clock.run(settled);
}

/** Each acknowledged request became one change; no request became two. */
function checkOnce(ledgers: readonly Ledger[], acknowledged: ReadonlySet<string>): void {
  const made = new Map<string, number>();
  for (const key of ledgers.flatMap(({ changes }) => changes.flatMap(({ key }) => key ?? []))) {
    made.set(key, (made.get(key) ?? 0) + 1);
  }
  for (const key of acknowledged) assert.equal(made.get(key), 1, `${key} was acknowledged`);
  for (const [key, count] of made) assert.equal(count, 1, `${key} was made ${count} times`);
}

const NOTHING = { runsInMemory: 0, runBytes: 0, stagingBytes: 0, publishedBytes: 0 };

/** Unused runs leave nothing in memory; runs that are read again take as much as in a new process. */
async function auditMemory(service: Service): Promise<void> {
  await service.sweep({ idleMs: 0 });
  const { runsInMemory, runBytes, stagingBytes, publishedBytes } = service.world.registry.figures();
  assert.deepEqual({ runsInMemory, runBytes, stagingBytes, publishedBytes }, NOTHING);
  assert.equal(service.usedBytes, 0, "memory that nobody will free");
  const before = await openAll(service);
  await service.restart("kill", 0);
  assert.deepEqual(await openAll(service), before);
}

async function openAll(service: Service) {
  for (const ledger of service.ledgers) {
    await service.request(ledger, (session) => {
      ledger.checkReplies(session);
      // This shows the arena to the code that counts bytes.
      const { name } = ledger.plan.variables.find(({ shape }) => shape.length > 0) as { name: string };
      session.gather(name, [0], { bytesMax: 1e6 });
    });
  }
  const { runBytes, stagingBytes, publishedBytes } = service.world.registry.figures();
  return { usedBytes: service.usedBytes, runBytes, stagingBytes, publishedBytes };
}
