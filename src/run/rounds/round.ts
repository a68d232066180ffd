/**
 * The open round of a run: its contributions, its deadline, and the outcomes of the latest rounds.
 *
 * It does not write variables or the journal: the session does. Invariants: a round has at most one contribution per
 * client. A contribution that has joined stays, in the order of acceptance, until the round closes or is dropped, or
 * the client withdraws it.
 */
import { BoundedMap } from "../../../kernels/bounded_map.ts";
import { refusal, StepwellError } from "../../errors.ts";
import type { Releasable } from "../../releasable.ts";
import type { Aggregation } from "../spec/aggregation.ts";
import type { RoundDescription, RoundOutcome } from "../api/rounds.ts";
import type { Loss } from "../api/steps.ts";
import type { Accumulator, AccumulatorParts, Combined } from "./accumulator.ts";
import { checkClaims, checkDense, checkLoss, checkWhole } from "./check_joining.ts";
import type { Claims, Contribution } from "./contribution.ts";
import { ListAccumulator } from "./list_accumulator.ts";
import {
  countedWeight,
  factorOf,
  previewPseudoGradient,
  type PseudoGradient,
  toPseudoGradient,
  unfitWeight,
} from "./pseudo_gradient.ts";
import { checkResults, mayOverflow } from "./check_results.ts";
import type { NonFinite } from "../spec/spec.ts";
import type { ArenaStaging } from "../staging/staging.ts";
import { SumAccumulator } from "./sum_accumulator.ts";
import { noiseOn } from "./sum_noise.ts";

/** Count of rounds whose outcomes are remembered for clients that wait for them. */
const OUTCOMES_KEPT = 64;

export class Round implements Releasable {
  #number: number;
  readonly #parts: AccumulatorParts;
  #contributions: Contribution[] = [];
  #accumulator: Accumulator;
  readonly #outcomes = new BoundedMap<number, RoundOutcome>(OUTCOMES_KEPT);

  constructor(parts: AccumulatorParts, number: number) {
    this.#parts = parts;
    this.#number = number;
    this.#accumulator = this.newAccumulator();
  }

  get #aggregation(): Aggregation {
    return this.#parts.aggregation;
  }

  get number(): number {
    return this.#number;
  }

  /** Weighted mean of the contributions' losses; undefined unless each has one. */
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

  /** In order of acceptance. */
  get contributions(): readonly Contribution[] {
    return this.#contributions;
  }

  get missing(): number {
    return Math.max(0, this.#aggregation.wanted - this.#contributions.length);
  }

  get isComplete(): boolean {
    return this.missing === 0;
  }

  /** When the round closes or is dropped, in milliseconds since 1970. The first contribution starts the time. */
  get deadline(): number | null {
    const { deadlineSeconds } = this.#aggregation;
    const [first] = this.#contributions;
    return first && deadlineSeconds !== null ? first.acceptedAt + 1000 * deadlineSeconds : null;
  }

  /** Count of contributions that suffices at the deadline. */
  get minimum(): number {
    return this.#aggregation.minimum;
  }

  get sufficesAtDeadline(): boolean {
    return this.#contributions.length >= this.minimum;
  }

  /** Whether other clients can see the round. In mode immediate it opens and closes in one turn. */
  get isSeen(): boolean {
    return this.#aggregation.mode !== "immediate";
  }

  /** Whether clients send new weights, which are subtracted from the variables' present values. */
  get subtractsWeights(): boolean {
    return this.#aggregation.payload === "weights";
  }

  /** Count of iterations that a contribution is behind the run. */
  stalenessOf({ baseIteration, staleness }: Claims): number {
    const { iterations } = this.#parts.state;
    return staleness ?? iterations - (baseIteration ?? iterations);
  }

  /** Changes nothing. Throws contribution_repeated, too_stale, invalid_request, sparse_with_aggregator. */
  check(staging: ArenaStaging, claims: Claims): void {
    const { state: { iterations }, aggregation } = this.#parts;
    const { maxStaleness } = aggregation;
    checkClaims(claims, this.stalenessOf(claims), {
      number: this.#number,
      contributions: this.#contributions,
      iterations,
      maxStaleness,
    });
    checkDense(staging, aggregation);
    if (claims.isRecorded) return;
    checkWhole(staging, this.#parts.state, aggregation);
    checkLoss(claims, aggregation);
  }

  /**
   * Checks the float32 arithmetic on the contribution. Returns the reason why it is skipped, or an empty list. Throws
   * non_finite_gradient, and invalid_request for a weight.
   */
  checkResults(staging: ArenaStaging, claims: Claims, policy: NonFinite): string[] {
    if (policy === "propagate") return [];
    const { state, aggregation: { rule, payload } } = this.#parts;
    const staged = [...staging.tensors.values()];
    const isWeighed = rule.kind === "sum" && rule.weigh !== undefined;
    const { weight = 1 } = claims;
    // Most contributions are so small that no factor up to the weight carries them over float32's limit.
    if (!isWeighed && !staged.some((each) => mayOverflow(each, Math.max(1, weight)))) return [];
    const figures = previewPseudoGradient(staged, this.#preparation(claims));
    const unfit = isWeighed ? unfitWeight(figures.weight) ?? unfitWeight(figures.divisor) : undefined;
    if (unfit !== undefined) {
      if (policy === "skip") return [`The step was skipped: the weight ${unfit}`];
      throw refusal("invalid_request", "contribute", "weight", unfit);
    }
    const divide = rule.kind === "sum" ? rule.divide : "nothing";
    const factor = factorOf(figures, divide);
    return checkResults(state, staged, policy, ({ variable: { role } }) => ({
      factor: role === "average" ? Math.fround(countedWeight(figures.weight)) : factor,
      payload,
    }));
  }

  #preparation(claims: Claims) {
    const { state, runner, aggregation } = this.#parts;
    const { member, config } = aggregation.stalenessWeighting;
    const staleness = this.stalenessOf(claims);
    const stalenessFactor = member.factor(config, staleness);
    const { weight = 1, loss = 0 } = claims;
    return { state, runner, aggregation, stalenessFactor, staleness, weight, loss: Number(loss) };
  }

  /** Converts the staged tensors to a pseudo-gradient, in place. */
  toPseudoGradient(staging: ArenaStaging, claims: Claims): PseudoGradient {
    const found = toPseudoGradient([...staging.tensors.values()], this.#preparation(claims));
    return { ...found, weight: countedWeight(found.weight), divisor: countedWeight(found.divisor) };
  }

  /** Adds a contribution. It must have been checked and recorded in the journal. */
  join(
    staging: ArenaStaging,
    claims: Claims,
    at: Pick<Contribution, "acceptedAt" | "sequence" | "version">,
  ): PseudoGradient {
    const pseudoGradient = this.toPseudoGradient(staging, claims);
    const { clientId = null, key, loss } = claims;
    const { weight } = pseudoGradient;
    const staleness = this.stalenessOf(claims);
    this.#accumulator.join({ staging, pseudoGradient });
    this.#contributions.push({
      clientId,
      weight,
      staleness,
      gradientNorm: pseudoGradient.norm,
      key,
      loss,
      ...at,
    });
    return pseudoGradient;
  }

  /** Puts the combined contributions into `into`. Throws out_of_memory; then nothing has changed. */
  combine(into: ArenaStaging, edition: number): Combined {
    const { state, aggregation } = this.#parts;
    return this.#accumulator.combine(into, { noise: noiseOn(state, aggregation.noise), edition });
  }

  /** The index of a client's contribution. Throws unknown_contribution. */
  find(clientId: string): number {
    const place = this.#contributions.findIndex((each) => each.clientId === clientId);
    if (place >= 0) return place;
    throw new StepwellError(
      "unknown_contribution",
      `Cannot withdraw: round ${this.#number} has no contribution of the client ${JSON.stringify(clientId)}`,
    );
  }

  /** An empty accumulator of the kind that the aggregator needs. */
  newAccumulator(): Accumulator {
    const { rule } = this.#aggregation;
    return rule.kind === "sum"
      ? new SumAccumulator(this.#parts, rule)
      : new ListAccumulator(this.#parts, rule);
  }

  /** Whether a contribution can be removed. If not, `remove` needs an accumulator with all the others. */
  get keepsWhole(): boolean {
    return this.#accumulator instanceof ListAccumulator;
  }

  /** Removes a contribution. If the accumulator is a sum, `others` is needed: it has all the other contributions. */
  remove(place: number, others?: Accumulator): void {
    if (others) {
      this.#accumulator.release();
      this.#accumulator = others;
    } else (this.#accumulator as ListAccumulator).remove(place);
    this.#contributions.splice(place, 1);
  }

  /**
   * A copy for a dry run, to be released while the round is open. Clients' new weights were subtracted from the
   * variables when the dry run was checked. Throws out_of_memory; then nothing has changed.
   */
  copy(): Round {
    const aggregation = {
      ...this.#aggregation,
      ...this.subtractsWeights && { payload: "gradient" as const },
    };
    const copy = new Round({ ...this.#parts, aggregation }, this.#number);
    copy.#accumulator = this.#accumulator.copy();
    copy.#contributions = [...this.#contributions];
    return copy;
  }

  /** Ends the round and opens the next one. */
  end(outcome: RoundOutcome): void {
    this.#outcomes.set(this.#number, outcome);
    this.release();
    this.#number += 1;
    this.#contributions = [];
    this.#accumulator = this.newAccumulator();
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

  release(): void {
    this.#accumulator.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
