/** llhttp, the parser of Node, compiled to WebAssembly: what the lane's own parser is held against. */
import code from "undici/lib/llhttp/llhttp-wasm.js";

/** A request as llhttp reads it. */
export interface Parsed {
  readonly method: string;
  readonly target: string;
  /** Names in lower case. */
  readonly fields: [string, string][];
  readonly body: string;
  readonly isHeadDone: boolean;
  readonly isDone: boolean;
  /** What follows the request. */
  readonly rest: string;
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  llhttp_alloc(type: number): number;
  llhttp_reset(parser: number): void;
  llhttp_get_method(parser: number): number;
  llhttp_method_name(method: number): number;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_get_error_pos(parser: number): number;
  malloc(bytes: number): number;
}

const REQUEST = 1;
const INPUT_BYTES_MAX = 1 << 20;

let url = "", names: string[] = [], values: string[] = [], body = "", isHeadDone = false, isDone = false;
/** Whether the last piece was of a name: a name or a value may come in several. */
let isName = false;

const text = (at: number, length: number) =>
  String.fromCharCode(...new Uint8Array(llhttp.memory.buffer, at, length));

const env = {
  wasm_on_message_begin: () => 0,
  wasm_on_status: () => 0,
  wasm_on_url: (_: number, at: number, length: number) => (url += text(at, length), 0),
  wasm_on_header_field: (_: number, at: number, length: number) => {
    if (isName) names[names.length - 1] += text(at, length);
    else names.push(text(at, length)), values.push("");
    isName = true;
    return 0;
  },
  wasm_on_header_value: (_: number, at: number, length: number) => {
    isName = false;
    if (!isHeadDone) values[values.length - 1] += text(at, length);
    return 0;
  },
  wasm_on_headers_complete: () => {
    isHeadDone = true;
    isName = false;
    method = text(...nameOf(llhttp.llhttp_method_name(llhttp.llhttp_get_method(parser))));
    return 0;
  },
  wasm_on_body: (_: number, at: number, length: number) => (body += text(at, length), 0),
  wasm_on_message_complete: () => {
    isDone = true;
    // Pauses: what follows is another request.
    return 21;
  },
};

let method = "";
const llhttp = new WebAssembly.Instance(new WebAssembly.Module(code), { env }).exports as unknown as Exports;
llhttp._initialize();
const parser = llhttp.llhttp_alloc(REQUEST);
const input = llhttp.malloc(INPUT_BYTES_MAX);

function nameOf(at: number): [number, number] {
  return [at, new Uint8Array(llhttp.memory.buffer, at, 40).indexOf(0)];
}

/** Reads the first request of `bytes` as far as llhttp takes it. */
export function parseWithLlhttp(bytes: Uint8Array): Parsed {
  [url, names, values, body, isHeadDone, isDone, isName, method] = ["", [], [], "", false, false, false, ""];
  llhttp.llhttp_reset(parser);
  new Uint8Array(llhttp.memory.buffer).set(bytes, input);
  llhttp.llhttp_execute(parser, input, bytes.length);
  const count = isHeadDone ? names.length : 0;
  const fields = names.slice(0, count).map((name, index): [string, string] => [
    name.toLowerCase(),
    // A value's end is trimmed by the reader of llhttp's pieces, as Node does.
    (values[index] ?? "").replace(/[ \t]+$/, ""),
  ]);
  // Where it paused.
  const end = isDone ? llhttp.llhttp_get_error_pos(parser) - input : bytes.length;
  const rest = String.fromCharCode(...bytes.subarray(end));
  return { method, target: url, fields, body, isHeadDone, isDone, rest };
}
