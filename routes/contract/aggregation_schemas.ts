/**
 * Schemas of a run's aggregation and its open round, in requests and in answers. src/run/spec/aggregation.ts checks
 * which fields go together.
 */
import { z } from "@hono/zod-openapi";
import { float32, positive } from "../../src/float32.ts";
import { DEADLINE_SECONDS_MAX, NOISE_SEED_MAX } from "../../src/run/api/run_spec.ts";
import { Count, Iterations, Member, MemberRequest, Norm, Version } from "./tensor_schemas.ts";

const COUNT_MAX = 1_000_000;

const Mode = z.enum(["immediate", "round", "buffer"]).openapi({
  description:
    "When a step is made: for every contribution; when `quorum` clients have contributed, or at the " +
    "deadline; whenever `buffer_size` contributions are there.",
  example: "round",
});

const Payload = z.enum(["gradient", "delta", "weights"]).openapi({
  description:
    "What contributions hold: gradients, the client's new minus its old weights, or its new weights.",
  example: "gradient",
});

export const Role = z.enum(["optimize", "average"]).openapi({
  description: "`average`: no optimizer moves it, it becomes the weighted mean of the clients' values.",
  example: "optimize",
});

const orNull = <S extends z.ZodType>(schema: S) => schema.nullable();

const counts = (description: string, example: number) =>
  z.int().min(1).max(COUNT_MAX).optional().openapi({ description, example });

const NOISE = {
  stddev: float32({ minimum: 0 }).optional().openapi({
    description: "Standard deviation of each element.",
    example: 0.01,
  }),
  multiplier: float32({ minimum: 0 }).optional().openapi({
    description:
      "In place of stddev: the standard deviation as a multiple of the bound on the norms of contributions.",
    example: 1,
  }),
  seed: z.int().min(0).max(NOISE_SEED_MAX).openapi({
    description: "What the noise follows from.",
    example: 7,
  }),
};

const QUORUM = "Of mode round: as many distinct clients close it.";
const MINIMUM = "Of mode round: as many suffice at the deadline.";
const BUFFER_SIZE = "Of mode buffer: as many contributions make a step.";
const NOISE_WORDS = "Gaussian noise on the sum of the contributions, before any division; null: none. What " +
  "privacy that buys is for the caller to account for.";

const PARTIAL =
  "Of aggregators that compare contributions: whether a contribution may leave variables out. A " +
  "variable is then combined from those that have it, and stays where they are too few. Default: false.";

const DEADLINE = orNull(z.number().positive().max(DEADLINE_SECONDS_MAX));
const DEADLINE_WORDS = {
  description: "Of mode round: seconds from a round's first contribution to its end; null: none.",
  example: 60,
};
const STALENESS = orNull(z.int().min(0));
const CLIPNORM_WORDS = {
  description:
    "Bound on the norm of each contribution over all variables, or a member that moves it (AdaptiveQuantile); null: " +
    "none.",
  example: 1,
};

export const ClipNorm = orNull(z.number()).openapi({
  description: "The bound on the norm of the next contribution; null: none.",
  example: 1,
});

/**
 * One shape for all modes, so that generators make one plain type. It accepts what an answer shows, including null
 * for absent things.
 */
export const AggregationRequest = z.strictObject({
  mode: Mode,
  quorum: counts(QUORUM, 10),
  minimum: counts(`${MINIMUM} Default: the quorum.`, 5),
  deadline_seconds: DEADLINE.optional().openapi(DEADLINE_WORDS),
  buffer_size: counts(BUFFER_SIZE, 10),
  aggregator: MemberRequest.optional(),
  payload: Payload.optional(),
  max_staleness: STALENESS.optional().openapi({
    description:
      "Iterations that a contribution may be behind; null: any. Default: 0 in mode round, else null.",
    example: 5,
  }),
  staleness_weighting: MemberRequest.optional(),
  client_clipnorm: orNull(z.union([positive(), MemberRequest])).optional().openapi(CLIPNORM_WORDS),
  partial: z.boolean().optional().openapi({ description: PARTIAL, example: true }),
  noise: orNull(z.strictObject(NOISE)).optional().openapi({
    description: NOISE_WORDS,
    example: { stddev: 0.01, seed: 7 },
  }),
}).openapi("AggregationRequest", {
  description:
    "How contributions become steps: what makes one gradient of them (`aggregator`, default Sum), what one counts " +
    "that was computed some iterations ago (`staleness_weighting`, default Constant). A field that the mode does not " +
    "have is refused.",
  example: { mode: "round", quorum: 10, minimum: 5, deadline_seconds: 60, aggregator: "Mean" },
});

export const Aggregation = z.object({
  mode: Mode,
  quorum: z.int().optional().openapi({ description: QUORUM, example: 10 }),
  minimum: z.int().optional().openapi({ description: MINIMUM, example: 5 }),
  deadline_seconds: DEADLINE.optional().openapi(DEADLINE_WORDS),
  buffer_size: z.int().optional().openapi({ description: BUFFER_SIZE, example: 10 }),
  aggregator: Member,
  payload: Payload,
  max_staleness: STALENESS.openapi({
    description: "Iterations that a contribution may be behind; null: any.",
    example: 0,
  }),
  staleness_weighting: Member,
  client_clipnorm: orNull(z.union([positive(), Member])).openapi(CLIPNORM_WORDS),
  partial: z.boolean().optional().openapi({ description: PARTIAL, example: false }),
  noise: orNull(z.object(NOISE)).openapi({ description: NOISE_WORDS, example: { stddev: 0.01, seed: 7 } }),
}).openapi("Aggregation", {
  description: "How contributions become steps, with every default; what another mode has is not there.",
});

export const RoundNumber = Count.openapi({ description: "The round, from 0.", example: 3 });
export const OpenRoundNumber = orNull(z.int().min(0)).openapi({
  description: "The open round, from 0; null in mode immediate, which has none.",
  example: 3,
});
export const Missing = Count.openapi({
  description: "Contributions that it takes to close the round.",
  example: 2,
});
export const Deadline = orNull(z.iso.datetime()).openapi({
  description: "When the round closes with what it has, or is dropped; null: not known, or never.",
  example: "2025-01-31T12:01:00.000Z",
});
export const Staleness = Count.openapi({
  description: "Iterations that the contribution was behind when it was accepted.",
  example: 0,
});
export const Weight = z.number().openapi({ description: "What the contribution weighs.", example: 32 });
export const GradientNorm = Norm.openapi({
  description: "Norm of the (pseudo-)gradient over all variables, before `client_clipnorm`.",
  example: 1.5,
});

export const Round = z.object({
  round: OpenRoundNumber,
  mode: Mode,
  iterations: Iterations,
  version: Version,
  accepted: Count.openapi({ description: "Contributions in the round.", example: 1 }),
  missing: Missing,
  deadline: Deadline,
  contributions: z.array(z.object({
    client_id: orNull(z.string()).openapi({
      description: "Whose it is; null: nobody's.",
      example: "phone-7",
    }),
    weight: Weight,
    staleness: Staleness,
    gradient_norm: GradientNorm,
    accepted_at: z.iso.datetime().openapi({
      description: "When it was accepted.",
      example: "2025-01-31T12:00:00.000Z",
    }),
  })).openapi({ description: "In the order in which they were accepted.", example: [] }),
}).openapi("Round", { description: "The open round." });
