/** All bombs. A new one is an entry of a topic's table. */
import { BODY_BOMBS } from "./body_bombs.ts";
import { MANY_BOMBS } from "./many_bombs.ts";
import { RUN_BOMBS } from "./run_bombs.ts";
import { SOCKET_BOMBS } from "./socket_bombs.ts";
import type { Bomb } from "./target.ts";

export const BOMBS: readonly Bomb[] = [...BODY_BOMBS, ...RUN_BOMBS, ...MANY_BOMBS, ...SOCKET_BOMBS];
