/**
 * The acknowledged contributions to open rounds that the twin does not have yet. They make no version: the version at
 * which a contribution was accepted and its place in the round identify it.
 */
import assert from "node:assert/strict";
import { type Answer, type Call, textOf } from "./calls.ts";
import type { Twin } from "./twin.ts";

interface Contribution {
  readonly call: Call;
  readonly text: string;
  /** The place in the round, from 1. */
  readonly place: number;
}

export class Contributed {
  readonly #contributions = new Map<number, Contribution[]>();

  /** Number of versions with contributions that the twin does not have. */
  get versions(): number {
    return this.#contributions.size;
  }

  add(call: Call, answer: Answer): void {
    const text = textOf(answer), { contributions: place } = JSON.parse(text) as { contributions: number };
    const others = this.#contributions.get(answer.version) ?? [];
    this.#contributions.set(answer.version, [...others, { call, text, place }]);
  }

  /**
   * Sends the contributions of `version`, which is the twin's, to the twin in order. Its answers must be the same.
   */
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
