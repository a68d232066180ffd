/** Every parser of what comes from outside. A new one gets a line here. */
import type { Parser } from "./law.ts";
import { HEAD_PARSERS } from "./head_parsers.ts";
import { HTTP_PARSERS } from "./http_parsers.ts";
import { LANGUAGE_PARSERS } from "./language_parsers.ts";
import { STORED_PARSERS } from "./stored_parsers.ts";
import { WIRE_PARSERS } from "./wire_parsers.ts";

export const PARSERS: readonly Parser[] = [
  ...WIRE_PARSERS,
  ...LANGUAGE_PARSERS,
  ...STORED_PARSERS,
  ...HEAD_PARSERS,
  ...HTTP_PARSERS,
];
