/**
 * A map that keeps the newest entries: when there are too many, the oldest goes. An entry keeps its age when its value is
 * set again; who wants it to be the newest deletes it before.
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
