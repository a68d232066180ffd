/**
 * The settings of the service: one table, whose rows stand by topic in `settings/`, and the function that reads
 * them. It does not read the environment: `main.ts` passes a lookup. The README's table is generated from this one.
 *
 * Invariant: a `Settings` value is complete and within its bounds. A bad setting is a `SettingError` of one line.
 */

import { isIP } from "node:net";
import { BODIES } from "./settings/bodies.ts";
import { BOUNDS } from "./settings/bounds.ts";
import { DOOR } from "./settings/door.ts";
import { LANE } from "./settings/lane.ts";
import { LOSSES } from "./settings/losses.ts";
import { STORAGE } from "./settings/storage.ts";
import { WAITS } from "./settings/waits.ts";
import type { Setting } from "./settings/setting.ts";

/** Characters of a token that is not guessed over a network. */
const TOKEN_LENGTH_MIN = 16;

/** In the order of the README. */
export const SETTINGS = {
  ...DOOR,
  ...LANE,
  ...BOUNDS,
  ...BODIES,
  ...WAITS,
  ...LOSSES,
  ...STORAGE,
} as const satisfies Record<string, Setting>;

type SettingName = keyof typeof SETTINGS;

/** The value of every setting by name: a number or a string. An absent token is the empty string. */
export type Settings = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name]["kind"] extends "number" ? number : string;
};

/** A setting is unusable. The message is one line for the operator and never contains the token. */
export class SettingError extends Error {
  override readonly name = "SettingError";
}

/**
 * Reads all settings through `lookup` (a variable's name → its text). An absent or empty variable gets its default.
 * Throws a `SettingError` for a value out of bounds, and for a host other than loopback without a token.
 */
export function readSettings(lookup: (name: string) => string | undefined): Settings {
  const settings = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, setting]) => [name, readSetting(name, setting, lookup(name) ?? "")]),
  ) as unknown as Settings;
  checkAccess(settings);
  return settings;
}

/** The rules that several settings make together. */
function checkAccess(settings: Settings): void {
  if ((settings.STEPWELL_TLS_CERT === "") !== (settings.STEPWELL_TLS_KEY === "")) {
    throw new SettingError(
      "Cannot speak TLS: must have both STEPWELL_TLS_CERT and STEPWELL_TLS_KEY, or neither",
    );
  }
  const { STEPWELL_HOST: host, STEPWELL_TOKEN: token, STEPWELL_TOKENS: file } = settings;
  if (token === "" && file === "") {
    if (!isLoopback(host)) {
      throw new SettingError(
        `Cannot listen on STEPWELL_HOST="${host}" without a token: set STEPWELL_TOKEN or STEPWELL_TOKENS, or a ` +
          "loopback host (127.0.0.1, ::1, localhost)",
      );
    }
    if (settings.STEPWELL_CORS_ORIGINS === "*") {
      throw new SettingError(
        'Cannot use STEPWELL_CORS_ORIGINS="*" without a token: every page could change every run; set STEPWELL_TOKEN ' +
          "or STEPWELL_TOKENS, or name the origins",
      );
    }
  }
  if (token !== "" && token.length < TOKEN_LENGTH_MIN && !isLoopback(host)) {
    throw new SettingError(
      `Cannot listen on STEPWELL_HOST="${host}" with this STEPWELL_TOKEN: it has ${token.length} characters, must ` +
        `have at least ${TOKEN_LENGTH_MIN} beyond loopback`,
    );
  }
}

function readSetting(name: string, setting: Setting, text: string): number | string {
  if (text === "") return setting.default;
  if (setting.kind === "text") {
    const isProxies = name === "STEPWELL_TRUSTED_PROXIES";
    if (setting.pattern.test(text) && (!isProxies || text.split(",").every(isSubnet))) return text;
    // The token is a secret even when it is malformed.
    const shown = name === "STEPWELL_TOKEN" ? "" : ` (is ${JSON.stringify(text)})`;
    throw new SettingError(`Cannot use ${name}${shown}: must be ${setting.wanted}`);
  }
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value >= setting.minimum && value <= setting.maximum) return value;
  throw new SettingError(
    `Cannot use ${name} (is ${JSON.stringify(text)}): must be a whole number from ${setting.minimum} to ` +
      `${setting.maximum}${setting.unit === "count" ? "" : ` (${setting.unit})`}`,
  );
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function isSubnet(text: string): boolean {
  const [address = "", bits = "0", ...rest] = text.trim().split("/");
  return isIP(address) !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (isIP(address) === 6 ? 128 : 32) &&
    rest.length === 0;
}
