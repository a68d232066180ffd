/** Names the format of a file that is no safetensors file by its first bytes, for the message that refuses it. */

const FORMATS: readonly (readonly [name: string, first: readonly number[] | string])[] = [
  ["a zip archive, such as what torch.save or numpy.savez writes", [0x50, 0x4b, 0x03, 0x04]],
  ["a Keras or HDF5 file", [0x89, 0x48, 0x44, 0x46]],
  ["a numpy array", [0x93, 0x4e, 0x55, 0x4d]],
  ["a gzip file; it needs Content-Encoding: gzip", [0x1f, 0x8b]],
  ["a zstd file; it needs Content-Encoding: zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["a GGUF file", "GGUF"],
  ["a Git LFS pointer, not the file that it stands for", "version "],
  ["HTML", "<!"],
  ["HTML", "<html"],
  ["JSON; it needs Content-Type: application/json", "{"],
  ["a multipart form", "--"],
];

/** Pickles begin with a protocol number from 2 to 5. */
const isPickle = (bytes: Uint8Array) => bytes[0] === 0x80 && bytes[1]! >= 2 && bytes[1]! <= 5;

/** `bytes` are the first 8 or more; undefined for a format that is not known. */
export function looksLike(bytes: Uint8Array): string | undefined {
  if (isPickle(bytes)) return "a pickle, such as what torch.save writes";
  const found = FORMATS.find(([, first]) => {
    const wanted = typeof first === "string" ? new TextEncoder().encode(first) : first;
    return wanted.every((byte, at) => bytes[at] === byte);
  });
  return found?.[0];
}
