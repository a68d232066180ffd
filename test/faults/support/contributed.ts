/**
 * Contributions to open rounds that were acknowledged, until the twin has them too. They make no version: each is known
 * by the version at which it was accepted and by its place in its round.
 */
import assert from "node:assert/strict";
import { type Answer, type Call, textOf } from "./calls.ts";
import type { Twin } from "./twin.ts";

interface Contribution {
  readonly call: Call;
  readonly text: string;
  /** From 1. */
  readonly place: number;
}

export class Contributed {
  readonly #contributions = new Map<number, Contribution[]>();

  /** Versions with contributions that the twin does not have. */
  get versions(): number {
    return this.#contributions.size;
  }

  add(call: Call, answer: Answer): void {
    const text = textOf(answer), { contributions: place } = JSON.parse(text) as { contributions: number };
    const others = this.#contributions.get(answer.version) ?? [];
    this.#contributions.set(answer.version, [...others, { call, text, place }]);
  }

  /** The twin, which is at this version, gets those of it in their order, and must give the same answers. */
  async repeat(twin: Twin, version: number): Promise<void> {
    const contributions = this.#contributions.get(version) ?? [];
    this.#contributions.delete(version);
    for (const { call, text } of contributions.sort((a, b) => a.place - b.place)) {
      assert.equal(
        textOf(await twin.send(call)),
        text,
        `a contribution to ${call.path} at version ${version}`,
      );
    }
  }
}
