/** The schemas of the names that stand in paths: of runs and of clients. */
import { z } from "@hono/zod-openapi";

export const RUN_ID_LENGTH_MAX = 128;
const RUN_ID = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,${RUN_ID_LENGTH_MAX - 1}}$`);

export const RunId = z.string().regex(
  RUN_ID,
  `Must be 1 to ${RUN_ID_LENGTH_MAX} of A-Z a-z 0-9 . _ - and begin with a letter or digit`,
)
  .openapi({ description: "The run's id.", example: "demo" });

export const ClientId = z.string().min(1).max(256)
  .refine((id) => id !== "." && id !== "..", "Must not be . or .., which no path can name")
  .refine((id) => id.isWellFormed(), "Must not hold half a surrogate pair, which no path can name")
  .openapi({
    description: "Who the client is: a name of its own choice, or the one that its token is bound to.",
    example: "phone-7",
  });
