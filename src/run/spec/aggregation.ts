/**
 * A run's resolved `aggregation`: which contributions become one step, and how each is prepared.
 *
 * Invariant: the fields of a resolved aggregation fit its mode and its aggregator.
 */
import { refusal } from "../../errors.ts";
import type { AggregatorMember, AggregatorRule } from "../../families/aggregators/aggregator.ts";
import { aggregators } from "../../families/aggregators/mod.ts";
import type { ClipNormMember } from "../../families/clip_norms/clip_norm.ts";
import { clipNorms } from "../../families/clip_norms/mod.ts";
import { type Part, serialize } from "../../families/mechanism/family.ts";
import { stalenessWeightings } from "../../families/staleness_weightings/mod.ts";
import type { StalenessWeightingMember } from "../../families/staleness_weightings/staleness_weighting.ts";
import type { AggregationDescription } from "../api/run_description.ts";
import type { AggregationSpec, Noise, Payload } from "../api/run_spec.ts";

export interface Aggregation {
  readonly mode: AggregationSpec["mode"];
  /** Count of contributions that closes a round: the quorum, the buffer's size, or 1. */
  readonly wanted: number;
  /** Count of contributions that suffices at the deadline. */
  readonly minimum: number;
  /** Seconds from a round's first contribution; null: no deadline. */
  readonly deadlineSeconds: number | null;
  readonly aggregator: Part<AggregatorMember>;
  readonly rule: AggregatorRule;
  readonly payload: Payload;
  readonly maxStaleness: number | null;
  readonly stalenessWeighting: Part<StalenessWeightingMember>;
  /** The bound on the norm of each contribution, or what moves it. */
  readonly clientClipnorm: number | Part<ClipNormMember> | null;
  readonly noise: Noise | null;
  /** Whether contributions that are kept whole may leave variables out. */
  readonly partial: boolean;
  /** What a round may not guarantee. */
  readonly warnings: readonly string[];
  /** Whether each contribution becomes a step directly, without a round. */
  readonly isPlain: boolean;
}

/** Fields that only one mode has. */
const OF_MODE = {
  quorum: "round",
  minimum: "round",
  deadline_seconds: "round",
  buffer_size: "buffer",
} as const;

/** Throws invalid_request for fields that do not fit together, unknown_class and invalid_config. */
export function resolveAggregation(
  spec: AggregationSpec = { mode: "immediate" },
  { hasAverages }: { readonly hasAverages: boolean },
): Aggregation {
  const { mode } = spec;
  for (const [field, owner] of Object.entries(OF_MODE) as [keyof typeof OF_MODE, AggregationSpec["mode"]][]) {
    if (spec[field] === undefined || spec[field] === null || mode === owner) continue;
    refuse(field, `is ${spec[field]}, must be absent in mode "${mode}"`);
  }
  if (mode === "round" && spec.quorum === undefined) {
    refuse("quorum", 'is missing, must be given in mode "round"');
  }
  if (mode === "buffer" && spec.buffer_size === undefined) {
    refuse("buffer_size", 'is missing, must be given in mode "buffer"');
  }
  const wanted = spec.quorum ?? spec.buffer_size ?? 1;
  const minimum = spec.minimum ?? wanted;
  if (minimum > wanted) refuse("minimum", `is ${minimum}, must be at most ${wanted}, the quorum`);
  const aggregator = aggregators.resolve(spec.aggregator ?? "Sum", "aggregation.aggregator");
  const rule = aggregator.member.rule(aggregator.config);
  const stalenessWeighting = stalenessWeightings.resolve(
    spec.staleness_weighting ?? "Constant",
    "aggregation.staleness_weighting",
  );
  if (rule.kind === "list") {
    checkListRule(aggregator.member.class_name, rule.contributionsMin, { mode, minimum, spec });
  }
  if (rule.kind === "sum" && spec.partial !== undefined) {
    const { class_name: name } = aggregator.member;
    refuse(
      "partial",
      `is ${spec.partial}, must be absent: ${name} takes contributions without some variables`,
    );
  }
  const noise = spec.noise ?? null, clientClipnorm = resolveClipNorm(spec.client_clipnorm ?? null);
  if (noise) checkNoise(noise, clientClipnorm);
  const payload = spec.payload ?? "gradient";
  const maxStaleness = spec.max_staleness === undefined ? mode === "round" ? 0 : null : spec.max_staleness;
  return {
    mode,
    wanted,
    minimum,
    deadlineSeconds: spec.deadline_seconds ?? null,
    aggregator,
    rule,
    payload,
    maxStaleness,
    stalenessWeighting,
    clientClipnorm,
    noise,
    partial: spec.partial ?? false,
    warnings: [
      ...rule.kind === "list" ? rule.warn?.(minimum) ?? [] : [],
      ...noise?.stddev !== undefined && isMoving(clientClipnorm) ? [STAYING_NOISE] : [],
    ],
    isPlain: mode === "immediate" && payload === "gradient" && !hasAverages && noise === null &&
      clientClipnorm === null && maxStaleness === null &&
      stalenessWeighting.member.class_name === "Constant" &&
      (rule.kind === "list" || (rule.normBound === undefined && rule.weigh === undefined)),
  };
}

function checkListRule(
  name: string,
  least: number,
  { mode, minimum, spec }: { mode: string; minimum: number; spec: AggregationSpec },
): void {
  if (minimum < least) {
    const field = mode === "buffer" ? "buffer_size" : spec.minimum === undefined ? "quorum" : "minimum";
    const message = mode === "immediate"
      ? `is "immediate", must be "round" or "buffer": ${name} needs ${least} contributions`
      : `is ${minimum}, must be ${least} or more: ${name} needs ${least} contributions`;
    refuse(mode === "immediate" ? "mode" : field, message);
  }
  if (spec.noise) {
    refuse("noise", `is given, must be absent: ${name} computes no sum to which noise could be added`);
  }
}

/** The noise of a bound that moves should move with it. */
const STAYING_NOISE = "noise.stddev stays as it is while client_clipnorm moves: noise.multiplier follows it";

const isMoving = (clipNorm: Aggregation["clientClipnorm"]) =>
  typeof clipNorm === "object" && clipNorm !== null;

function resolveClipNorm(given: unknown): Aggregation["clientClipnorm"] {
  if (given === null || typeof given === "number") return given;
  return clipNorms.resolve(given, "aggregation.client_clipnorm");
}

function checkNoise({ stddev, multiplier }: Noise, clipNorm: Aggregation["clientClipnorm"]): void {
  if ((stddev === undefined) === (multiplier === undefined)) {
    const given = stddev === undefined ? "neither stddev nor multiplier" : "both stddev and multiplier";
    refuse("noise", `has ${given}, must have one of them`);
  }
  if (multiplier === undefined || clipNorm !== null) return;
  refuse("noise.multiplier", `is ${multiplier}, must be absent without client_clipnorm, which it multiplies`);
}

/** The bound on the norms of a new run's contributions; null without one. */
export function initialClipNorm({ clientClipnorm }: Aggregation): number | null {
  if (clientClipnorm === null || typeof clientClipnorm === "number") return clientClipnorm;
  return clientClipnorm.member.initial(clientClipnorm.config);
}

function refuse(field: string, problem: string): never {
  throw refusal("invalid_request", "create the run", `aggregation.${field}`, problem);
}

function serializeClipNorm({ clientClipnorm }: Aggregation): AggregationDescription["client_clipnorm"] {
  if (clientClipnorm === null || typeof clientClipnorm === "number") return clientClipnorm;
  return serialize(clientClipnorm);
}

/** A description that creates the same aggregation again. */
export function serializeAggregation(aggregation: Aggregation): AggregationDescription {
  const { mode, wanted, minimum, deadlineSeconds } = aggregation;
  return {
    mode,
    ...mode === "round" && { quorum: wanted, minimum, deadline_seconds: deadlineSeconds },
    ...mode === "buffer" && { buffer_size: wanted },
    aggregator: serialize(aggregation.aggregator),
    payload: aggregation.payload,
    max_staleness: aggregation.maxStaleness,
    staleness_weighting: serialize(aggregation.stalenessWeighting),
    client_clipnorm: serializeClipNorm(aggregation),
    noise: aggregation.noise,
    ...aggregation.rule.kind === "list" && { partial: aggregation.partial },
  };
}
