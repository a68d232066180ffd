/** The state that a data folder of an earlier version must restore, as text, without the fields of later versions. */
import type { Session } from "../../../src/run/session/session.ts";
import { exactJson } from "../../../src/wire/exact_json.ts";
import { lasting } from "../../run/support/stored.ts";

export function golden(session: Session): string {
  const { description, ...state } = lasting(session);
  const { id, version, iterations, created_at, optimizer, slots, durability, non_finite } = description;
  const known = { id, version, iterations, created_at, optimizer, slots, durability, non_finite };
  return exactJson({ ...known, ...state });
}
