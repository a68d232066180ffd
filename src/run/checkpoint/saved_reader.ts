/**
 * Reads what a checkpoint says of a run besides its tensors (saved_text.ts writes it). A run with many variables has
 * long lists, so what can be long is done in pieces.
 */
import { z } from "zod";
import { StepwellError } from "../../errors.ts";
import { inPieces } from "../../slices.ts";
import { isShape } from "../../tensor.ts";
import { parsingJson } from "../../wire/parse_json.ts";
import { SAVED, Saved, SAVED_LIMITS, type SavedRun } from "./checkpoint_format.ts";
import { refuse } from "./saved_state.ts";

/** Letters of a list that are parsed at a time, and how long it takes to parse one and to check an element. */
const PIECE_LENGTH = 64 << 10, LETTER_UNITS = 8, CHECK_UNITS = 100;

/** In pieces. Throws invalid_request, body_too_large. */
export function* readingSaved(
  metadata: ReadonlyMap<string, string>,
  isOwn: boolean,
): Generator<number, SavedRun> {
  const text = metadata.get(SAVED) ?? "";
  let json: unknown;
  try {
    json = yield* isOwn ? parsingOwn(text) : parsingJson(text, SAVED_LIMITS);
  } catch (error) {
    if (error instanceof StepwellError && error.code === "body_too_large") throw error;
    refuse('the metadata has no JSON under "stepwell"');
  }
  const lists = Lists.safeParse(json);
  const areSound = lists.success && (yield* checking(lists.data.created, isCreated)) &&
    (yield* checking(lists.data.spec.variables, isVariable));
  // Elements that were checked need not be copied.
  const looked = areSound
    ? {
      ...lists.data,
      created: [],
      spec: { ...lists.data.spec, variables: lists.data.spec.variables.slice(0, 1) },
    }
    : json;
  const saved = Saved.safeParse(looked);
  if (!saved.success) {
    const [issue] = saved.error.issues;
    return refuse(`${SAVED}.${issue?.path.map(String).join(".")}: ${issue?.message}`);
  }
  if (!areSound) return saved.data;
  const { created, spec: { variables } } = lists.data;
  return { ...saved.data, created, spec: { ...saved.data.spec, variables } } as SavedRun;
}

const Lists = z.looseObject({
  created: z.custom<readonly unknown[]>(Array.isArray),
  spec: z.looseObject({ variables: z.custom<readonly unknown[]>(Array.isArray) }),
});

function* checking(
  list: readonly unknown[],
  isSound: (element: unknown) => boolean,
): Generator<number, boolean> {
  let areSound = true;
  yield* inPieces(list, CHECK_UNITS, (element) => void (areSound &&= isSound(element)));
  return areSound;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether the schema of an element of `created` takes it as it is. */
function isCreated(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 2 && typeof value["variable"] === "string" &&
    typeof value["slot"] === "string";
}

/** The same of a variable of the spec. */
function isVariable(value: unknown): boolean {
  if (!isObject(value)) return false;
  for (const key in value) if (!VARIABLE_KEYS.has(key)) return false;
  const { name, shape, role = "optimize" } = value;
  return typeof name === "string" && name !== "" && Array.isArray(shape) && isShape(shape) &&
    (role === "optimize" || role === "average");
}

const VARIABLE_KEYS = new Set(["name", "shape", "constraint", "role"]);

/**
 * Parses the text that savedText wrote: as `JSON.parse` does, but the two lists in pieces. A text of another form is
 * parsed at once.
 */
function* parsingOwn(text: string): Generator<number, unknown> {
  const created = text.indexOf(CREATED), spec = text.indexOf(SPEC, created);
  const variables = text.indexOf(VARIABLES, spec);
  if (created < 0 || spec < 0 || variables < 0 || !text.endsWith(END)) return JSON.parse(text);
  let head: object, rest: { readonly spec: object };
  try {
    // Each is the beginning of a whole object, so what follows is not inside of it.
    head = JSON.parse(`${text.slice(0, created)}}`);
    rest = JSON.parse(`{${text.slice(spec + 2, variables)}}}`);
  } catch {
    return JSON.parse(text);
  }
  const lists = {
    created: yield* parsingList(text, created + CREATED.length, spec),
    variables: yield* parsingList(text, variables + VARIABLES.length, text.length - END.length),
  };
  if (!lists.created || !lists.variables) return JSON.parse(text);
  return { ...head, created: lists.created, spec: { ...rest.spec, variables: lists.variables } };
}

const CREATED = ',"created":[', SPEC = '],"spec":{', VARIABLES = ',"variables":[', END = "]}}";
/** Between two objects of a list. In a string, the quotation mark would be escaped. */
const BETWEEN = '},{"';

/** The elements of a list of objects that stand between `from` and `end`; undefined if that is no list. */
function* parsingList(text: string, from: number, end: number): Generator<number, unknown[] | undefined> {
  const elements: unknown[] = [];
  for (let at = from; at < end;) {
    const cut = text.indexOf(BETWEEN, at + PIECE_LENGTH), to = cut < 0 || cut >= end ? end : cut + 1;
    try {
      for (const element of JSON.parse(`[${text.slice(at, to)}]`)) elements.push(element);
    } catch {
      // It was cut inside of an element, or there is something else.
      return undefined;
    }
    yield LETTER_UNITS * (to - at);
    at = to + 1;
  }
  return elements;
}
