/** One federated training: creates the run, starts the clients' processes, and measures the test accuracy. */
import { RunClient } from "../run_client.ts";
import { runProcess } from "./client_process.ts";
import { readDigits } from "./digits.ts";
import { type Settings, specOf } from "./federation.ts";
import { accuracy, startTensorFlow } from "./network.ts";
import type { Sent } from "./round_clients.ts";

export interface Outcome {
  /** The test accuracy of the run's last variables. */
  readonly reached: number;
  readonly images: number;
  /** How often each behaviour had each outcome: "late, too_stale" → 30. */
  readonly counts: ReadonlyMap<string, number>;
}

/**
 * Calls `onRound` with the test accuracy after each round. When rounds follow fast, it may skip some, never the
 * last.
 */
export async function trainInRounds(
  url: string,
  settings: Settings,
  onRound: (round: number, reached: number) => void = () => {},
): Promise<Outcome> {
  const runId = `rounds-${crypto.randomUUID().slice(0, 8)}`;
  const run = new RunClient(url, runId);
  await run.create(specOf(settings));
  const [{ test }] = await Promise.all([readDigits(), startTensorFlow()]);
  const counts = new Map<string, number>();
  const count = ({ behaviour, outcome }: Sent) => {
    const what = `${behaviour}, ${outcome}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  };
  const ending = new AbortController();
  const processes = Array.from({ length: settings.processes }, (_, process) => {
    const numbers = Array.from({ length: settings.clients }, (_, client) => client)
      .filter((client) => client % settings.processes === process);
    const args = [url, runId, JSON.stringify(settings), JSON.stringify(numbers)];
    return runProcess<Sent>({ script: "round_clients.ts", args, onLine: count, signal: ending.signal });
  });
  const watched = (async () => {
    for (let round = 0;;) {
      const { tensors, metadata } = await run.variablesAfter(round);
      const reached = accuracy(tensors, test);
      round = Number(metadata["iterations"]);
      onRound(round, reached);
      if (round >= settings.rounds) return reached;
    }
  })();
  try {
    const [reached] = await Promise.all([watched, ...processes]);
    return { reached, images: test.count, counts };
  } finally {
    ending.abort();
  }
}
