/** Tells a request that its client is gone. Most requests never ask, so the signal is made when they do. */
export class HangUp {
  #controller: AbortController | undefined;
  #isGone = false;

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#isGone) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  abort(): void {
    this.#isGone = true;
    this.#controller?.abort();
  }
}
