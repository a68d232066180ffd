/**
 * The open round of a run: which contributions will become the next step, when it closes, and what became of the latest
 * rounds.
 *
 * Writes to no variable and no journal: the session does. Invariants: a client is in a round once; what `join` has taken
 * stays, in the order in which it was accepted, until the round closes or is dropped, or the client withdraws it.
 */
import { addGaussianNoise } from "../../../kernels/noise/noise.ts";
import { refusal, StepwellError } from "../../errors.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import type { KeyUse, Loss, RoundDescription, RoundOutcome, StepOptions } from "../api.ts";
import type { Combined, Gathered, GatheredParts } from "./accumulator.ts";
import { HeldContributions } from "./list_accumulator.ts";
import { prepare, type Prepared } from "./pseudo_gradient.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import { gradientOf } from "../step/check_contribution.ts";
import type { VariableState } from "../tensors/state.ts";
import { SummedContributions } from "./sum_accumulator.ts";

/** Tells the noise on sums from that of transformers with the same seed (fused_lines.ts). */
const NOISE_STREAM = 0;
/** Rounds whose outcome is remembered, for those who wait for it. */
const OUTCOMES_KEPT = 64;

export interface Contribution {
  readonly clientId: string | null;
  readonly weight: number;
  readonly staleness: number;
  readonly gradientNorm: number;
  /** Milliseconds since 1970. */
  readonly acceptedAt: number;
  /** Of its journal record. */
  readonly sequence: number;
  /** Of the run when it was accepted. */
  readonly version: number;
  readonly key: KeyUse | undefined;
  readonly loss: Loss | undefined;
}

/** What a contribution says of itself. */
export type Claims =
  & Pick<StepOptions, "baseIteration" | "clientId" | "weight" | "hyperparameters" | "key" | "loss">
  & {
    /** Of a contribution that is read again: what it was when it was accepted. */
    readonly staleness?: number;
  };

export class Round {
  #number: number;
  readonly #parts: GatheredParts;
  #contributions: Contribution[] = [];
  #gathered: Gathered;
  readonly #outcomes = new Map<number, RoundOutcome>();

  constructor(parts: GatheredParts, number: number) {
    this.#parts = parts;
    this.#number = number;
    this.#gathered = this.gather();
  }

  get #aggregation(): Aggregation {
    return this.#parts.aggregation;
  }

  get number(): number {
    return this.#number;
  }

  /** The mean of the contributions' losses, by their weights; undefined unless each has told one. */
  get loss(): Loss | undefined {
    let sum = 0, weights = 0;
    for (const { loss, weight } of this.#contributions) {
      if (loss === undefined) return undefined;
      sum += weight * Number(loss);
      weights += weight;
    }
    const mean = sum / weights;
    return Number.isFinite(mean) ? mean : String(mean);
  }

  /** In the order in which they were accepted. */
  get contributions(): readonly Contribution[] {
    return this.#contributions;
  }

  get missing(): number {
    return Math.max(0, this.#aggregation.wanted - this.#contributions.length);
  }

  get isComplete(): boolean {
    return this.missing === 0;
  }

  /** When the round closes or is dropped, in milliseconds since 1970: it runs from the first contribution on. */
  get deadline(): number | null {
    const { deadlineSeconds } = this.#aggregation;
    const [first] = this.#contributions;
    return first && deadlineSeconds !== null ? first.acceptedAt + 1000 * deadlineSeconds : null;
  }

  /** Contributions that suffice at the deadline. */
  get minimum(): number {
    return this.#aggregation.minimum;
  }

  get sufficesAtDeadline(): boolean {
    return this.#contributions.length >= this.minimum;
  }

  /** Whether anybody but the one contributor sees the round: in mode immediate it opens and closes in one turn. */
  get isSeen(): boolean {
    return this.#aggregation.mode !== "immediate";
  }

  /** Iterations that a contribution is behind. */
  stalenessOf({ baseIteration, staleness }: Claims): number {
    const { iterations } = this.#parts.state;
    return staleness ?? iterations - (baseIteration ?? iterations);
  }

  /** Throws contribution_repeated, too_stale, invalid_request, sparse_with_aggregator, and changes nothing. */
  check(staging: ArenaStaging, claims: Claims): void {
    const { clientId, hyperparameters } = claims;
    if (clientId !== undefined && this.#placeOf(clientId) >= 0) {
      throw new StepwellError(
        "contribution_repeated",
        `Cannot contribute to round ${this.#number}: it has a contribution of the client ${
          JSON.stringify(clientId)
        }, must be one a client`,
      );
    }
    const { maxStaleness } = this.#aggregation;
    const staleness = this.stalenessOf(claims);
    if (maxStaleness !== null && staleness > maxStaleness) {
      const { iterations } = this.#parts.state;
      throw new StepwellError(
        "too_stale",
        `Cannot contribute to round ${this.#number}: base_iteration is ${claims.baseIteration}, must be ${
          Math.max(0, iterations - maxStaleness)
        } or more: the run is at iteration ${iterations} and takes a staleness of at most ${maxStaleness}`,
      );
    }
    if (hyperparameters) {
      const problem = "are given, must be absent: the step of a round is not one contribution's";
      throw refusal("invalid_request", "contribute", "hyperparameters", problem);
    }
    this.#checkTensors(staging);
  }

  #checkTensors({ tensors }: ArenaStaging): void {
    const { noise, aggregator } = this.#aggregation;
    for (const { kind, variable: { name } } of tensors.values()) {
      if (kind === "dense") continue;
      const why = noise
        ? "the run's noise falls on every element"
        : this.#gathered instanceof HeldContributions
        ? `${aggregator.member.class_name} compares whole tensors`
        : undefined;
      if (why === undefined) continue;
      throw refusal(
        "sparse_with_aggregator",
        "contribute",
        gradientOf(name),
        `is sparse, must be dense: ${why}`,
      );
    }
    const wanted = this.#gathered instanceof HeldContributions ? this.#gathered.variables : undefined;
    if (!wanted) return;
    const names = wanted.map(({ name }) => name);
    const lacking = names.find((name) => !tensors.has(name));
    const strange = [...tensors.keys()].find((name) => !names.includes(name));
    const name = lacking ?? strange;
    if (name === undefined) return;
    const problem = lacking === undefined
      ? "is given, must be absent: the round's first contribution has none"
      : "is missing, must be given: the round's first contribution has one";
    throw refusal("invalid_request", "contribute", gradientOf(name), problem);
  }

  /** The pseudo-gradient of what is staged, in place. */
  prepare(staging: ArenaStaging, claims: Claims): Prepared {
    const { state, run, aggregation } = this.#parts;
    const { member, config } = aggregation.stalenessWeighting;
    const staleness = this.stalenessOf(claims);
    const stalenessFactor = member.factor(config, staleness);
    const { weight = 1 } = claims;
    return prepare([...staging.tensors.values()], {
      state,
      run,
      aggregation,
      stalenessFactor,
      staleness,
      weight,
    });
  }

  /** Takes a contribution in: it was checked, and is in the journal. */
  join(
    staging: ArenaStaging,
    claims: Claims,
    at: Pick<Contribution, "acceptedAt" | "sequence" | "version">,
  ): Prepared {
    const prepared = this.prepare(staging, claims);
    const { clientId = null, key, loss } = claims;
    const { weight } = prepared;
    const staleness = this.stalenessOf(claims);
    this.#gathered.join({ staging, prepared });
    this.#contributions.push({ clientId, weight, staleness, gradientNorm: prepared.norm, key, loss, ...at });
    return prepared;
  }

  /** Puts what the contributions are together into `into`. Throws out_of_memory and changes nothing. */
  combine(into: ArenaStaging): Combined {
    const { noise } = this.#aggregation;
    const { arena, iterations, variables } = this.#parts.state;
    const places = new Map([...variables.keys()].map((name, place) => [name, place]));
    const noisy = noise && (({ name, count }: VariableState, offset: number) => {
      const variable = places.get(name) as number;
      addGaussianNoise(arena, { offset, count }, {
        ...noise,
        stream: NOISE_STREAM,
        iteration: iterations,
        variable,
      });
    });
    return this.#gathered.combine(into, noisy);
  }

  /** Throws unknown_contribution. */
  find(clientId: string): number {
    const place = this.#placeOf(clientId);
    if (place >= 0) return place;
    throw new StepwellError(
      "unknown_contribution",
      `Cannot withdraw: round ${this.#number} has no contribution of the client ${JSON.stringify(clientId)}`,
    );
  }

  #placeOf(clientId: string): number {
    return this.#contributions.findIndex((each) => each.clientId === clientId);
  }

  /** A place for contributions, empty. */
  gather(): Gathered {
    const { rule } = this.#aggregation;
    return rule.kind === "sum"
      ? new SummedContributions(this.#parts, rule)
      : new HeldContributions(this.#parts, rule);
  }

  /** Whether a contribution can be taken out of what is held; else `others` must hold all but it. */
  get keepsWhole(): boolean {
    return this.#gathered instanceof HeldContributions;
  }

  /** Takes a contribution out; `others` holds all the others when what is held is a sum. */
  remove(place: number, others?: Gathered): void {
    if (others) {
      this.#gathered.free();
      this.#gathered = others;
    } else (this.#gathered as HeldContributions).remove(place);
    this.#contributions.splice(place, 1);
  }

  /** Opens the next round. */
  end(outcome: RoundOutcome): void {
    this.#outcomes.set(this.#number, outcome);
    const [oldest] = this.#outcomes.keys();
    if (this.#outcomes.size > OUTCOMES_KEPT) this.#outcomes.delete(oldest as number);
    this.free();
    this.#number += 1;
    this.#contributions = [];
    this.#gathered = this.gather();
  }

  outcome(round: number): RoundOutcome | undefined {
    return this.#outcomes.get(round);
  }

  describe(): Omit<RoundDescription, "version"> {
    return {
      round: this.#number,
      mode: this.#aggregation.mode,
      iterations: this.#parts.state.iterations,
      accepted: this.#contributions.length,
      missing: this.missing,
      deadline: this.deadlineText,
      contributions: this.#contributions.map((each) => ({
        client_id: each.clientId,
        weight: each.weight,
        staleness: each.staleness,
        gradient_norm: each.gradientNorm,
        accepted_at: new Date(each.acceptedAt).toISOString(),
      })),
    };
  }

  /** RFC 3339, UTC. */
  get deadlineText(): string | null {
    return this.deadline === null ? null : new Date(this.deadline).toISOString();
  }

  free(): void {
    this.#gathered.free();
  }
}
