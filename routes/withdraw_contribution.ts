/** DELETE /v1/runs/{run}/rounds/current/contributions/{client_id}: removes a contribution from the open round. */
import { assertOwn } from "./http/access.ts";
import type { Register } from "./http/context.ts";
import {
  ANSWER_HEADERS,
  answers,
  createRoute,
  IF_MATCH,
  mount,
  NoQuery,
  RunParams,
  z,
} from "./contract/operation.ts";
import { ClientId } from "./http/ids.ts";
import { checkRun } from "./http/checked_run.ts";

export const route = createRoute({
  method: "delete",
  path: "/v1/runs/{run}/rounds/current/contributions/{client_id}",
  operationId: "withdraw_contribution",
  "x-required-scope": "contribute",
  tags: ["rounds"],
  summary: "Withdraw a contribution",
  description:
    "Takes a client's contribution out of the open round, as if it had never come. The client may " +
    "contribute again. What has become part of a step stays. A token that is not bound to this client needs the scope " +
    "write.",
  parameters: [IF_MATCH],
  request: { params: z.strictObject({ ...RunParams.shape, client_id: ClientId }), query: NoQuery },
  responses: answers({ 204: { description: "The round is without it.", headers: ANSWER_HEADERS } }, [
    "unknown_run",
    "unknown_contribution",
    "not_withdrawable",
    "version_mismatch",
    "shutting_down",
    "busy",
    "out_of_memory",
    "storage_full",
    "storage_failed",
  ]),
});

export const register: Register = (app, services) =>
  mount(app, route, async (c) => {
    const { run: id, client_id } = c.req.valid("param");
    assertOwn(c, client_id);
    const { run, change } = await checkRun(c, services, id);
    await change(() => run.withdraw(client_id));
    return c.body(null, 204);
  });
