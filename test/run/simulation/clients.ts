/** Clients of a simulation: they are slow, retry, repeat, disappear, withdraw, and send stale or poisoned updates. */
import assert from "node:assert/strict";
import { below, type Random } from "../../faults/support/bodies.ts";
import { variablesOf } from "../support/harness.ts";
import { type Parcel, parcelOf, type Seen } from "./bodies.ts";
import type { Ledger } from "./ledger.ts";
import { withdraw } from "./model.ts";
import { codeOf, Lost } from "./outcomes.ts";
import type { Service } from "./service.ts";
import { send } from "./uploads.ts";

/** Refusals after which a later attempt may succeed. */
const PASSING = ["storage_full", "out_of_memory", "key_in_progress"];

export interface Client {
  readonly service: Service;
  readonly ledger: Ledger;
  readonly name: string;
  readonly next: Random;
  /** Keys of acknowledged requests, each of which must have made exactly one change. */
  readonly acknowledged: Set<string>;
}

export const wait = ({ service, next }: Client, ms: number) => service.clock.sleep(next() * ms);

/** Tries until there is an answer or a final refusal. Throws refusals. */
export async function persist<T>(client: Client, act: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Lost) && !PASSING.includes(codeOf(error) as string)) throw error;
      await wait(client, 3000);
    }
  }
}

/** The life of a client: some updates, each computed from values that were read before, sometimes long before. */
export async function live(client: Client): Promise<void> {
  const { next } = client;
  await wait(client, 60_000);
  let seen = await read(client);
  for (let updates = 1 + below(next, 2); updates > 0; updates--) {
    if (next() < 0.8) seen = await read(client);
    // Stragglers train for a long time.
    await wait(client, next() < 0.1 ? 40_000 : 3000);
    await update(client, parcelOf(client.ledger.plan, seen, client));
    // The client disappears.
    if (next() < 0.05) return;
  }
}

function read(client: Client): Promise<Seen> {
  return persist(client, () =>
    client.service.request(client.ledger, (session) => ({
      iterations: session.iterations,
      variables: variablesOf(session),
    })));
}

let keys = 0;

function newKey({ name }: Client) {
  const key = `${name}-${keys++}`;
  return { key, hash: key };
}

async function update(client: Client, parcel: Parcel): Promise<void> {
  const { service, ledger, next, acknowledged } = client;
  const key = next() < 0.85 ? newKey(client) : undefined;
  const request = { ...key && { key }, aggregate: next() < 0.98, dryRun: next() < 0.03 };
  // Some connections are very slow.
  const upload = { request, pieces: 1 + below(next, 3), pieceMs: next() < 0.2 ? 5500 : 20 };
  const once = () => send(service, ledger, parcel, upload);
  try {
    // The connection breaks somewhere in the body.
    if (next() < 0.1) {
      const cut = below(next, parcel.bytes.length);
      await send(service, ledger, parcel, { ...upload, cut }).catch(lost);
    }
    // Without a key, a client does not dare to send it again.
    if (!key) return void await once().catch(lost);
    const repeats = next() < 0.1 ? 2 : 1;
    await Promise.all(Array.from({ length: repeats }, () => persist(client, once)));
    if (!request.dryRun) acknowledged.add(key.key);
    // The answer is lost, so the client sends the request again, perhaps much later.
    if (next() < 0.15) {
      await wait(client, next() < 0.2 ? 30_000 : 500);
      await persist(client, once);
    }
    if (next() < 0.1) await takeBack(client, parcel);
  } catch (error) {
    // The service and the model refuse it, so the client gives up.
    assert.notEqual(codeOf(error), undefined);
  }
}

/** Ignores broken connections. */
function lost(error: unknown): void {
  if (!(error instanceof Lost)) throw error;
}

/** Withdraws the contribution, if it is still there, and perhaps contributes again. */
async function takeBack(client: Client, parcel: Parcel): Promise<void> {
  const { service, ledger, name, next } = client;
  await persist(
    client,
    () =>
      service.request(
        ledger,
        (session) =>
          ledger.make(session, (state) => withdraw(ledger.plan, state, name), () => session.withdraw(name)),
      ),
  );
  if (next() < 0.5) return;
  const key = newKey(client), request = { key, aggregate: true, dryRun: false };
  await persist(client, () => send(service, ledger, parcel, { request, pieces: 1, pieceMs: 0 }));
  client.acknowledged.add(key.key);
}
