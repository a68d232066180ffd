/**
 * A map that keeps the newest entries: when it is full, a new entry evicts the oldest. Setting an existing key again
 * does not change the entry's age; to make it the newest, delete it first.
 */
export class BoundedMap<K, V> extends Map<K, V> {
  readonly #sizeMax: number;

  constructor(sizeMax: number) {
    super();
    this.#sizeMax = sizeMax;
  }

  override set(key: K, value: V): this {
    super.set(key, value);
    if (this.size > this.#sizeMax) this.delete(this.keys().next().value as K);
    return this;
  }
}
