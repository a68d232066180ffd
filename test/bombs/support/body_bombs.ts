/** Bodies: deep, wide, long, compressed, and with a fault at the end. */
import zlib from "node:zlib";
import { INITIALIZERS } from "./shapes.ts";
import { file, manyTensors } from "./files.ts";
import type { Bomb, Target } from "./target.ts";

const RUNS = "/v1/runs", STEP = "/v1/runs/others/gradients", VALUES = "/v1/runs/others/variables";
const MB = 1_000_000;
/** What a body of JSON can be made of, again and again. */
const PIECES: Readonly<Record<string, readonly [begin: string, piece: string]>> = {
  "arrays in arrays": ["", "["],
  "objects in objects": ["", '{"a":'],
  "arrays in a tensor": ['{"gradients":{"w":', "["],
  "numbers in a tensor": ['{"gradients":{"w":[', "0,"],
  "long numbers in a tensor": ['{"gradients":{"w":[', "1.234567890123e-17,"],
  "tensors of one number": ['{"gradients":{"w":[', "[1],"],
  "empty arrays": ['{"variables":[', "[],"],
  "empty objects": ['{"variables":[', "{},"],
  "texts": ['{"variables":[', '"x",'],
  "escapes in one text": ['{"id":"', "\\u0041"],
  "a text": ['{"id":"', "x"],
  "spaces": ["", " "],
  "one name again and again": ["{", '"a":1,'],
  "variables without anything": ['{"optimizer":"SGD","variables":[', '{"name":"w","shape":[1]},'],
};

const repeated = ([begin, piece]: readonly [string, string], bytes: number) =>
  new TextEncoder().encode(begin + piece.repeat(Math.ceil(bytes / piece.length)));
const asJson = { "Content-Type": "application/json" };

const LONG: readonly Bomb[] = Object.entries(PIECES).map(([what, piece]) => ({
  name: `60 MB of ${what}`,
  throw: async (target) => {
    const body = repeated(piece, 60 * MB);
    for (const [method, path] of [["POST", RUNS], ["POST", STEP], ["PUT", VALUES]] as const) {
      await target.atOnce(2, method, path, body, asJson);
    }
  },
}));

const ENCODERS = {
  gzip: (bytes: Uint8Array) => zlib.gzipSync(bytes),
  br: (bytes: Uint8Array) =>
    zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }),
  zstd: (bytes: Uint8Array) => zlib.zstdCompressSync(bytes),
};

const COMPRESSED: readonly Bomb[] = Object.entries(ENCODERS).flatMap(([encoding, encode]) =>
  ["arrays in arrays", "numbers in a tensor", "one name again and again"].map((what): Bomb => ({
    name: `32 bodies at once, each 60 MB of ${what} in ${encoding}`,
    throw: async (target) => {
      const body = Uint8Array.from(encode(repeated(PIECES[what] as [string, string], 60 * MB)));
      await target.atOnce(32, "POST", STEP, body, { ...asJson, "Content-Encoding": encoding });
    },
  }))
);

/** Names that differ; so many bytes of them. */
function names(begin: string, bytes: number): string {
  const parts = Array.from({ length: bytes / 16 }, (_, at) => `"key ${1e6 + at}":0`);
  return `${begin}${parts}}`;
}

/** Headers of safetensors files. */
const HEADERS: Readonly<Record<string, () => string>> = {
  "arrays in arrays": () => `{"a":${"[".repeat(4 * MB)}`,
  "fields of __metadata__": () => `{${names('"__metadata__":{', 4 * MB).replaceAll(":0", ':"0"')}}`,
  "one long name": () => `{"${"x".repeat(4 * MB)}":1}`,
  "numbers in a shape": () => `{"w":{"dtype":"F32","data_offsets":[0,0],"shape":[${"1,".repeat(2 * MB)}0]}}`,
  "names of nothing": () => names("{", 4 * MB),
};

export const BODY_BOMBS: readonly Bomb[] = [
  ...LONG,
  ...COMPRESSED,
  {
    name: "28 bodies of 60 MB of arrays in arrays at once",
    throw: (target) => target.atOnce(28, "POST", RUNS, repeated(["", "["], 60 * MB), asJson),
  },
  {
    name: "3 million names that nobody knows",
    throw: async (target) => {
      await target.send("POST", RUNS, names("{", 60 * MB));
      await target.send("POST", STEP, names('{"gradients":{', 60 * MB));
      await target.send("PATCH", "/v1/runs/others/optimizer", names('{"config":{', 60 * MB));
    },
  },
  {
    name: "a fault at the end of a megabyte",
    isQuick: true,
    throw: async (target) => {
      for (const piece of Object.values(PIECES)) {
        const body = repeated(piece, MB);
        await target.send("POST", "/v1/optimizers", body, asJson);
        await target.send("POST", STEP, body, asJson);
        await target.send("PATCH", "/v1/runs/others/optimizer", body, asJson);
      }
    },
  },
  ...Object.entries(HEADERS).map(([what, header]): Bomb => ({
    name: `8 files at once whose header is 4 MB of ${what}`,
    throw: async (target) => {
      const body = file(header());
      await target.atOnce(8, "POST", STEP, body);
      await target.atOnce(8, "PUT", VALUES, body);
      await target.atOnce(8, "PUT", "/v1/runs/new/checkpoint", body);
    },
  })),
  {
    name: "files of 40,000 tensors",
    throw: (target) => target.atOnce(8, "POST", STEP, manyTensors(40_000)),
  },
  {
    name: "40 MB of base64 for a tensor of 2 numbers, and for one of 10 million",
    throw: async (target) => {
      await target.create({ id: "wide", variables: [{ name: "w", shape: [10_000_000] }] });
      const base64 = new Uint8Array(40 * MB).toBase64();
      const gradients = { w: { dtype: "float32", shape: [10_000_000], base64 } };
      const body = JSON.stringify({ gradients });
      for (const run of ["others", "wide"]) await target.atOnce(4, "POST", `/v1/runs/${run}/gradients`, body);
    },
  },
  {
    name: "headers of 80 kB",
    isQuick: true,
    throw: (target) => headers(target),
  },
  ...INITIALIZERS,
];

const HEADER_PIECES = ['"', '\\"', ",", ";", "a/b,", '"a",', "=", " ", "W/", "a;q=1,", "x"];
const HEADER_NAMES = [
  "Accept",
  "Prefer",
  "If-None-Match",
  "If-Match",
  "Idempotency-Key",
  "X-Request-Id",
  "Origin",
];

async function headers(target: Target): Promise<void> {
  for (const name of HEADER_NAMES) {
    for (const piece of HEADER_PIECES) {
      for (const begin of ["", '"', "a"]) {
        const value = `${begin}${piece.repeat(80_000 / piece.length)}x`;
        await target.send("GET", VALUES, undefined, { [name]: value });
      }
    }
  }
}
