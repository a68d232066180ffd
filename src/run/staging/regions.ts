/** The regions of an arena that one body takes, until they are released or handed over. */
import type { Arena } from "../../../kernels/arena.ts";
import type { Memory } from "../tensors/memory.ts";

export class Regions {
  readonly #memory: Memory;
  readonly #arena: () => Arena;
  /** Lengths in bytes, by offset. */
  readonly #lengths = new Map<number, number>();
  #bytes = 0;

  constructor(memory: Memory, arena: () => Arena) {
    this.#memory = memory;
    this.#arena = arena;
  }

  /** Bytes of all of them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Throws out_of_memory. */
  allocate(bytes: number): number {
    const offset = this.#memory.allocate(this.#arena(), bytes);
    this.#lengths.set(offset, bytes);
    this.#bytes += bytes;
    return offset;
  }

  /** Hands a region over to the caller, who must release it. */
  handOver(offset: number): void {
    this.#bytes -= this.#lengths.get(offset) ?? 0;
    this.#lengths.delete(offset);
  }

  release(): void {
    for (const offset of this.#lengths.keys()) this.#memory.release(this.#arena(), offset);
    this.#lengths.clear();
    this.#bytes = 0;
  }
}
