/**
 * Reads the JSON of a model from Keras 2, Keras 3 or tfjs into one form. Only the form is checked: the layers, and
 * which feeds which. model.ts interprets the layers.
 */
import { z } from "zod";
import { refusal, type StepwellError } from "../../errors.ts";
import { parseJson } from "../../wire/parse_json.ts";

/** The output of a layer: the layer's name and the index of its call. */
export interface Source {
  readonly layer: string;
  readonly call: number;
}

/** What a layer is called with: an output, or the number in an operation of Keras 3 such as `x + 3.0`. */
export type Input = Source | number;

export interface LayerSpec {
  readonly name: string;
  readonly className: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The inputs of each call. */
  readonly calls: readonly (readonly Input[])[];
}

export interface ModelSpec {
  readonly layers: readonly LayerSpec[];
  readonly inputs: readonly string[];
  readonly output: Source;
}

export function modelError(problem: string, path = "model"): StepwellError {
  return refusal("invalid_loss", "take the model", { path, called: "" }, problem);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const MODELS = new Set(["Sequential", "Functional", "Model"]);
export const isModel = (className: string) => MODELS.has(className);

export const LAYERS_MAX = 1000;
/** The most inputs of all calls of all layers of a model. */
const SOURCES_MAX = 10_000;

const LayerJson = z.looseObject({
  class_name: z.string().max(256),
  name: z.string().max(256).optional(),
  config: z.unknown(),
  inbound_nodes: z.array(z.unknown()).max(LAYERS_MAX).optional(),
});

/** Reads a model, bare or wrapped, or as a text, as from `to_json()`. Throws invalid_loss. */
export function readTopology(json: unknown): ModelSpec {
  let inner = typeof json === "string" ? parsed(json) : json;
  for (const key of ["modelTopology", "model_config"]) {
    if (isObject(inner) && isObject(inner[key])) inner = inner[key];
  }
  const { class_name: className, config } = isObject(inner) ? inner : {};
  if (typeof className !== "string" || !isModel(className)) {
    throw modelError(
      'it must be the JSON of a model: {"class_name": "Sequential" or "Functional", "config": {…}}',
    );
  }
  return readModel(className, config);
}

/** Far more than the largest model that is taken has. */
const TEXT_LIMITS = { plainBytesMax: 4 << 20, valuesMax: 200_000, namesMax: 4096 };

function parsed(text: string): unknown {
  try {
    return parseJson(text, TEXT_LIMITS);
  } catch {
    throw modelError("it is text that is not JSON");
  }
}

export function readModel(className: string, config: unknown): ModelSpec {
  const list = Array.isArray(config) ? config : isObject(config) ? config["layers"] : undefined;
  if (!Array.isArray(list) || list.length === 0) throw modelError("its config must have a list of layers");
  if (list.length > LAYERS_MAX) {
    throw modelError(`it has ${list.length} layers, must have at most ${LAYERS_MAX}`);
  }
  const layers = list.map(readLayer);
  const count = layers.reduce((sum, { calls }) => sum + calls.flat().length, 0);
  if (count > SOURCES_MAX) {
    throw modelError(`its layers have ${count} inputs, must have at most ${SOURCES_MAX}`);
  }
  const odd = layers.find(({ name }, at) => layers.findIndex((other) => other.name === name) !== at);
  if (odd) throw modelError(`two layers are named "${odd.name}"`);
  if (className === "Sequential") return sequential(layers);
  const { input_layers: inputs, output_layers: outputs } = config as Record<string, unknown>;
  const ends = sources(outputs, "output_layers");
  const [output, ...more] = ends;
  if (!output || more.length > 0) throw modelError(`it has ${ends.length} outputs, must have one`);
  return renumbered({ layers, inputs: sources(inputs, "input_layers").map(({ layer }) => layer), output });
}

/** Keras 2 counts the calls of a nested model from 1, because building it is call 0. */
function renumbered({ layers, inputs, output }: ModelSpec): ModelSpec {
  const named = [output, ...layers.flatMap(({ calls }) => calls.flat())];
  const shifted = new Set(
    layers.filter(({ className, name, calls }) =>
      isModel(className) &&
      named.some((input) => typeof input === "object" && input.layer === name && input.call === calls.length)
    ).map(({ name }) => name),
  );
  const shift = (source: Source): Source =>
    shifted.has(source.layer) ? { ...source, call: source.call - 1 } : source;
  return {
    layers: layers.map((layer) => ({
      ...layer,
      calls: layer.calls.map((call) => call.map((input) => typeof input === "object" ? shift(input) : input)),
    })),
    inputs,
    output: shift(output),
  };
}

/** Reads a layer and the inputs of each of its calls. Throws invalid_loss. */
export function readLayer(json: unknown): LayerSpec {
  const parsed = LayerJson.safeParse(json);
  if (!parsed.success) throw modelError('a layer must be {"class_name", "config", "inbound_nodes"?}');
  const { class_name: className, config, inbound_nodes: nodes = [] } = parsed.data;
  const own = isObject(config) ? config : {};
  const name = parsed.data.name ?? own["name"];
  if (typeof name !== "string" || name === "" || name.length > 256) {
    throw modelError(`a layer of class ${className} has no name of at most 256 characters`);
  }
  // A nested Sequential may be a bare list.
  const given = Array.isArray(config) ? { layers: config } : own;
  return { name, className, config: given, calls: nodes.map((node) => inputsOf(node, { name, className })) };
}

function sequential(layers: readonly LayerSpec[]): ModelSpec {
  const first = layers[0] as LayerSpec;
  const input = first.className === "InputLayer" ? first : inputLayer(first);
  const rest = layers.filter((layer) => layer !== input);
  const chained = rest.map((layer, at): LayerSpec => ({
    ...layer,
    calls: [[{ layer: (rest[at - 1] ?? input).name, call: 0 }]],
  }));
  return {
    layers: [input, ...chained],
    inputs: [input.name],
    output: { layer: (chained.at(-1) ?? input).name, call: 0 },
  };
}

/** An input layer with the empty name, which no other layer has. */
const inputLayer = ({ config }: LayerSpec): LayerSpec => ({
  name: "",
  className: "InputLayer",
  config: { batch_input_shape: config["batch_input_shape"] ?? config["batch_shape"] },
  calls: [],
});

/** `["name", 0, 0]`, or a list of those. */
function sources(json: unknown, what: string): Source[] {
  const list = Array.isArray(json) && typeof json[0] === "string" ? [json] : json;
  if (!Array.isArray(list)) throw modelError(`its ${what} must be a list`);
  return list.map((each) => source(each, what));
}

function source(json: unknown, what: string): Source {
  const [layer, call, tensor] = Array.isArray(json) ? json : [];
  if (typeof layer !== "string" || !Number.isInteger(call) || tensor !== 0) {
    throw modelError(`${what} must name tensors as ["layer", call, 0]`);
  }
  return { layer, call: call as number };
}

/** The inputs of one call of a layer, in the form of Keras 2 and tfjs (a list) or of Keras 3 (args and kwargs). */
function inputsOf(node: unknown, { name, className }: Pick<LayerSpec, "name" | "className">): Input[] {
  const what = `inbound_nodes of the ${className} "${name}"`;
  if (isObject(node)) {
    // A `training` argument recorded by Keras 3 is ignored: the call of the whole model decides.
    checkKeywords(node["kwargs"], what, "training");
    const args = Array.isArray(node["args"]) ? node["args"].flat() : [];
    return args.map((arg: unknown) => {
      if (typeof arg === "number") return arg;
      const config = isObject(arg) && arg["class_name"] === "__keras_tensor__" ? arg["config"] : undefined;
      return source(isObject(config) ? config["keras_history"] : undefined, what);
    });
  }
  if (!Array.isArray(node)) throw modelError(`${what} must be lists`);
  const list: unknown[] = typeof node[0] === "string" ? [node] : node;
  return list.map((each) => {
    if (Array.isArray(each)) checkKeywords(each[3], what);
    return source(each, what);
  });
}

function checkKeywords(keywords: unknown, what: string, passedOver?: string): void {
  const all = Object.entries(isObject(keywords) ? keywords : {});
  const given = all.find(([key, value]) => value !== null && key !== passedOver);
  if (given) throw modelError(`${what} call it with ${given[0]}, must be called with tensors only`);
}
