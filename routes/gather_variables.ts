/** POST /v1/runs/{run}/variables/gather: reads rows of a variable. */
import { plainJson, recordJson, tensorJson } from "../src/wire/json_writer.ts";
import { answerTensors } from "./http/answer.ts";
import { refusal } from "../src/errors.ts";
import type { RunSession } from "../src/run/api/run_session.ts";
import { membersOf, TENSOR } from "../src/wire/json_limits.ts";
import { NestedNumbers } from "../src/wire/number_list.ts";
import { indexSource, isObject } from "../src/wire/tensor_source.ts";
import { receiveJson } from "./http/receive_body.ts";
import type { Register } from "./http/context.ts";
import { negotiate } from "./http/negotiate.ts";
import {
  answers,
  BODY_ERRORS,
  createRoute,
  jsonBody,
  mount,
  NoQuery,
  RunParams,
  tensors,
  z,
} from "./contract/operation.ts";
import { Tensor, VariableName } from "./contract/tensor_schemas.ts";

const GatherRequest = z.strictObject({
  name: VariableName,
  indices: z.array(z.int()).openapi({
    description: "Rows (places along the first dimension) in the wanted order; a row may be asked for twice.",
    example: [5, 0, 5],
  }),
}).openapi("GatherRequest", { description: "Which rows of which variable." });

const Rows = z.object({ name: VariableName, values: Tensor }).openapi("Rows", {
  description: "Rows of a variable.",
});

export const route = createRoute({
  method: "post",
  path: "/v1/runs/{run}/variables/gather",
  operationId: "gather_variables",
  "x-required-scope": "read",
  tags: ["variables"],
  summary: "Get rows",
  description:
    "Some rows of one variable, say of an embedding; changes nothing. As safetensors, the tensor has the " +
    "variable's name.",
  request: { params: RunParams, query: NoQuery, body: jsonBody(GatherRequest, "Which rows.") },
  responses: answers({ 200: tensors("The rows.", Rows) }, [
    ...BODY_ERRORS,
    "unknown_run",
    "run_replaced",
    "unknown_variable",
    "index_out_of_range",
    "shape_mismatch",
    "not_acceptable",
    "out_of_memory",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const run = await services.registry.open(c.req.valid("param").run);
    const type = negotiate(c);
    let many: NestedNumbers | undefined;
    const prepare = (value: unknown) => {
      if (!isObject(value) || !(value["indices"] instanceof NestedNumbers)) return value;
      many = value["indices"];
      return { ...value, indices: [] };
    };
    using body = await receiveJson(c, services, GatherRequest, { places: INDICES, prepare });
    const { name } = body.value;
    const indices = many ? rowsIn(many, run) : body.value.indices;
    const rows = run.gather(name, indices, { bytesMax: services.settings.STEPWELL_BODY_BYTES_MAX });
    return await answerTensors(c, services, {
      type,
      run,
      source: { tensors: [rows] },
      figures: { iterations: run.iterations, version: run.version },
      json: () => recordJson([["name", plainJson(name)], ["values", tensorJson(rows.values, rows.shape)]]),
    });
  });

const INDICES = membersOf({ indices: TENSOR });
/** Indices that are taken whatever the run. */
const INDICES_MIN = 1 << 16;

/** As many rows as the run's longest variable has may be asked for, so that the work follows from the run. */
function indicesMax(run: RunSession): number {
  const rows = run.describe().variables.map(({ shape }) => shape[0] ?? 0);
  return rows.reduce((most, count) => Math.max(most, count), INDICES_MIN);
}

/** The indices of a long list, which no schema has looked at. */
function rowsIn(list: NestedNumbers, run: RunSession): Int32Array {
  const countMax = indicesMax(run);
  const [count = 0] = list.shape;
  if (count > countMax) {
    const problem = `has ${count} elements, must have at most ${countMax}`;
    throw refusal("invalid_request", "gather rows", "indices", problem);
  }
  const [bytes] = indexSource(list, "indices").pieces();
  return new Int32Array(bytes!.buffer);
}
