/**
 * Virtual time, which passes only from event to event. Events of one moment happen in the order of their scheduling,
 * and all immediate effects of an event are over before the next one.
 */
interface Event {
  readonly at: number;
  readonly order: number;
  readonly act: () => void;
}

const isBefore = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Clock {
  /** Whole milliseconds since 1970. */
  now = 0;
  /** Future events, the next one last. */
  readonly #events: Event[] = [];
  #order = 0;

  /** Calls `act` at a moment. The returned function cancels it. */
  at(moment: number, act: () => void): () => void {
    const event = { at: Math.max(Math.round(moment), this.now), order: this.#order++, act };
    let low = 0, high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(this.#events[middle] as Event, event)) high = middle;
      else low = middle + 1;
    }
    this.#events.splice(low, 0, event);
    return () => {
      const place = this.#events.indexOf(event);
      if (place >= 0) this.#events.splice(place, 1);
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(this.now + ms, resolve));
  }

  /** Lets time pass and runs the events that are due by then, without waiting for their effects. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (let event = this.#events.at(-1); event && event.at <= end; event = this.#events.at(-1)) {
      this.#events.pop();
      this.now = event.at;
      event.act();
    }
    this.now = end;
  }

  /** Runs all events until none is left. `settled` resolves when an event has had its effects. */
  async run(settled: () => Promise<void>): Promise<void> {
    await settled();
    for (let event = this.#events.pop(); event; event = this.#events.pop()) {
      this.now = event.at;
      event.act();
      await settled();
    }
  }
}
