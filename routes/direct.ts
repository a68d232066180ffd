/** The operations that are answered without the app. */
import { DirectAnswers } from "./direct_answers.ts";
import { directGradients } from "./direct_gradients.ts";
import { directVariables } from "./direct_variables.ts";
import type { Services } from "./http/context.ts";
import type { Direct } from "./lane/direct.ts";

/** Undefined where settings ask something of every request that only the app does. */
export function directAnswers(services: Services, newId: () => string): Direct | undefined {
  const { settings } = services;
  const isPlain = settings.STEPWELL_CORS_ORIGINS === "" && settings.STEPWELL_PATH_PREFIX === "" &&
    settings.STEPWELL_REQUESTS_PER_SECOND === 0;
  if (!isPlain) return undefined;
  const answers = new DirectAnswers(services, newId);
  const gradients = directGradients(services, answers), variables = directVariables(services, answers);
  return (head, framing) => gradients(head, framing) ?? variables(head, framing);
}
