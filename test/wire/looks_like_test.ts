/** Files of other formats that are sent as safetensors: refused by their first bytes, by the format's name. */
import { SafetensorsReader } from "../../src/wire/safetensors_reader.ts";
import { assertRefuses } from "./support/refusals.ts";

const text = (start: string) => new TextEncoder().encode(start.padEnd(100, " "));
const bytes = (...start: number[]) => Uint8Array.from({ length: 100 }, (_, at) => start[at] ?? 0);

const FILES: readonly (readonly [what: string, file: Uint8Array, format: RegExp])[] = [
  ["a pickle of protocol 2", bytes(0x80, 2, 0x7d, 0x71, 0, 0x58), /a pickle/],
  ["a pickle of protocol 4", bytes(0x80, 4, 0x95), /a pickle/],
  ["a pickle of protocol 5", bytes(0x80, 5, 0x95, 0x10), /a pickle/],
  ["a zip", bytes(0x50, 0x4b, 3, 4, 0, 0, 8), /a zip archive, such as what torch\.save/],
  ["HDF5", bytes(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a), /HDF5/],
  ["npy", bytes(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0), /a numpy array/],
  ["gzip", bytes(0x1f, 0x8b, 8), /gzip file; it needs Content-Encoding: gzip/],
  ["zstd", bytes(0x28, 0xb5, 0x2f, 0xfd), /zstd/],
  ["GGUF", text("GGUF"), /GGUF/],
  ["a pointer of Git LFS", text("version https://git-lfs.github.com/spec/v1"), /Git LFS pointer/],
  ["a page", text("<!doctype html>"), /HTML/],
  ["JSON", text('{"gradients": {}}'), /JSON; it needs Content-Type: application\/json/],
  ["a form", text("--boundary\r\n"), /multipart form/],
];

Deno.test("a body of another format is malformed_safetensors, whatever length its first bytes announce", async (t) => {
  for (const [what, file, format] of FILES) {
    await t.step(what, () => {
      for (const fileBytes of [undefined, file.length]) {
        for (const headerBytesMax of [1000, 100_000_000]) {
          const open = () => new SafetensorsReader({ onHeader: () => new Map(), fileBytes, headerBytesMax });
          assertRefuses("malformed_safetensors", format, () => open().write(file));
          assertRefuses("malformed_safetensors", format, () => {
            const reader = open();
            for (const byte of file) reader.write(Uint8Array.of(byte));
          });
        }
      }
    });
  }
});

Deno.test("a header whose length looks like another format is read", () => {
  // 0x950480: the first bytes of a pickle.
  const header = new Uint8Array(0x950480).fill(0x20);
  header.set(new TextEncoder().encode("{}"));
  const file = new Uint8Array(8 + header.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  const reader = new SafetensorsReader({ onHeader: () => new Map(), headerBytesMax: 100_000_000 });
  reader.write(file);
  reader.close();
});
