/** Runs one simulation, from its seed to the final audit. */
import { random } from "../../kernels/support/special.ts";
import { audit } from "./audit.ts";
import { type Client, live } from "./clients.ts";
import type { Ledger } from "./ledger.ts";
import { disturb, meddle, sweep, watch } from "./others.ts";
import { Service } from "./service.ts";

/** The time when all clients have begun and no further disasters happen. */
const CALM_MS = 120_000;

export async function simulate({ seed, clients }: { seed: number; clients: number }) {
  const service = await Service.begin();
  await using _ = service.world;
  const { ledgers } = service, acknowledged = new Set<string>();
  let actors = 0;
  const begin = (ledger: Ledger, name: string, act: (client: Client, untilMs: number) => Promise<void>) => {
    const client = { service, ledger, name, next: random(seed * 1_000_003 + actors++), acknowledged };
    act(client, CALM_MS).catch((error) => service.failures.push(error));
  };
  for (let n = 0; n < clients; n++) begin(ledgers[n % ledgers.length] as Ledger, `client-${n}`, live);
  for (const ledger of ledgers) {
    begin(ledger, "meddler", meddle);
    begin(ledger, "watcher", watch);
  }
  begin(ledgers[0] as Ledger, "sweeper", sweep);
  begin(ledgers[0] as Ledger, "nature", disturb);
  await service.clock.run(service.settled);
  await audit(service, acknowledged);
  return figuresOf(service);
}

/** Counts of what happened, to check that it was enough. */
function figuresOf({ ledgers, figures, refusals }: Service) {
  const sum = (of: (ledger: Ledger) => number) => ledgers.reduce((total, ledger) => total + of(ledger), 0);
  const count = (type: string) =>
    sum(({ changes }) => changes.filter(({ events: [first] }) => first?.type === type).length);
  return {
    ...figures,
    contributions: count("contribution_accepted"),
    steps: count("step_applied"),
    dropped: count("round_dropped"),
    withdrawn: count("contribution_withdrawn"),
    lostToPowerCuts: sum(({ lost }) => lost),
    reloads: sum(({ reloads }) => reloads),
    refusals,
  };
}
