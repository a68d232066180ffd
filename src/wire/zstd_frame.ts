/**
 * Follows the blocks of a zstd frame (RFC 8878) without decompressing it, to find the end of the frame: the decoder
 * of node:zlib does not report cut-off input.
 *
 *     | magic 4 | descriptor 1 | window 0-1 | dictionary 0-4 | content size 0-8 | blocks: head 3, body | checksum 0-4 |
 *
 * Invariant: `isComplete` is true exactly if a frame with valid lengths has been walked to its last byte; never for
 * another magic number (skippable frames). The decoder checks the content of the blocks.
 */

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];
const RLE_BLOCK = 1;

export class ZstdFrame {
  isComplete = false;
  #magicBytes = 0;
  /** Bytes to skip before the next field. */
  #skip = 0;
  #state: "magic" | "descriptor" | "block head" | "end" = "magic";
  #blockHead = 0;
  #blockHeadBytes = 0;
  #checksumBytes = 0;

  /** Walks over the next bytes. Returns the number of them that belong to the frame. */
  walk(bytes: Uint8Array): number {
    let at = 0;
    while (!this.isComplete && at < bytes.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
      } else this.#take(bytes[at++]!);
      this.isComplete = this.#state === "end" && this.#skip === 0;
    }
    return at;
  }

  #take(byte: number): void {
    if (this.#state === "magic") {
      if (byte !== MAGIC[this.#magicBytes++]) this.#skip = Infinity;
      if (this.#magicBytes === MAGIC.length) this.#state = "descriptor";
      return;
    }
    if (this.#state === "descriptor") {
      const isSingleSegment = (byte & 0x20) !== 0;
      const sizeFlag = byte >> 6;
      this.#checksumBytes = byte & 4;
      this.#skip = (isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[byte & 3]! +
        (isSingleSegment && sizeFlag === 0 ? 1 : CONTENT_SIZE_BYTES[sizeFlag]!);
      this.#state = "block head";
      return;
    }
    this.#blockHead |= byte << (8 * this.#blockHeadBytes++);
    if (this.#blockHeadBytes < 3) return;
    const isLast = (this.#blockHead & 1) !== 0;
    const type = (this.#blockHead >> 1) & 3;
    this.#skip = (type === RLE_BLOCK ? 1 : this.#blockHead >> 3) + (isLast ? this.#checksumBytes : 0);
    if (isLast) this.#state = "end";
    this.#blockHead = this.#blockHeadBytes = 0;
  }
}
