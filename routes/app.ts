/**
 * The HTTP application: middleware, error handlers, one line per operation. No operation's logic.
 *
 * Invariant: every refusal, from any layer, is sent by `answerProblem`.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { methodNotAllowed } from "hono/method-not-allowed";
import { requestId } from "hono/request-id";
import { secureHeaders } from "hono/secure-headers";
import { StepwellError } from "../src/errors.ts";
import { identified, runNeeded } from "./http/access.ts";
import { accessLog } from "./http/access_log.ts";
import * as applyGradients from "./apply_gradients.ts";
import type { App, AppEnv, Services } from "./http/context.ts";
import { located } from "./http/client.ts";
import * as computeGradients from "./compute_gradients.ts";
import * as createRun from "./create_run.ts";
import * as deleteOptimizer from "./delete_optimizer.ts";
import * as deleteRun from "./delete_run.ts";
import * as gatherVariables from "./gather_variables.ts";
import { leased } from "./http/lease.ts";
import * as getCatalog from "./get_catalog.ts";
import * as getCheckpoint from "./get_checkpoint.ts";
import * as getDocs from "./get_docs.ts";
import * as getEvents from "./get_events.ts";
import * as getHealthz from "./get_healthz.ts";
import * as getMetrics from "./get_metrics.ts";
import * as getOpenapi from "./get_openapi.ts";
import * as getOptimizer from "./get_optimizer.ts";
import * as getOptimizerDefinition from "./get_optimizer_definition.ts";
import * as getReadyz from "./get_readyz.ts";
import * as getRound from "./get_round.ts";
import * as getRun from "./get_run.ts";
import * as getSlot from "./get_slot.ts";
import * as getVariables from "./get_variables.ts";
import * as getWeights from "./get_weights.ts";
import { ownHostOnly, routedByTarget } from "./http/hosts.ts";
import { invalidRequest } from "./http/invalid_request.ts";
import * as listRuns from "./list_runs.ts";
import * as listSlots from "./list_slots.ts";
import * as listSteps from "./list_steps.ts";
import * as minimize from "./minimize.ts";
import * as patchOptimizer from "./patch_optimizer.ts";
import { describeShared } from "./contract/openapi.ts";
import { routedPath } from "./http/path_prefix.ts";
import { allowedOriginsOnly, crossOrigin } from "./http/origins.ts";
import { answerProblem } from "./http/problem.ts";
import * as putCheckpoint from "./put_checkpoint.ts";
import * as putVariables from "./put_variables.ts";
import * as putWeights from "./put_weights.ts";
import * as registerOptimizer from "./register_optimizer.ts";
import * as withdrawContribution from "./withdraw_contribution.ts";

const OPERATIONS = [
  // runs
  createRun,
  listRuns,
  getRun,
  deleteRun,
  // variables
  getVariables,
  putVariables,
  gatherVariables,
  // steps
  applyGradients,
  computeGradients,
  minimize,
  listSteps,
  // rounds
  getRound,
  withdrawContribution,
  getEvents,
  // slots
  listSlots,
  getSlot,
  // weights
  getWeights,
  putWeights,
  // optimizer
  getOptimizer,
  patchOptimizer,
  // checkpoint
  getCheckpoint,
  putCheckpoint,
  // optimizers
  registerOptimizer,
  getOptimizerDefinition,
  deleteOptimizer,
  // catalog
  getCatalog,
  // service
  getHealthz,
  getReadyz,
  getMetrics,
  getOpenapi,
  getDocs,
];

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

export function createApp(services: Services): App {
  const { settings, log } = services;
  const app: App = new OpenAPIHono<AppEnv>({
    getPath: routedByTarget(routedPath(settings)),
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.target, result.error);
    },
  });
  app.onError((error, c) => answerProblem(c, error, log));
  app.notFound((c) =>
    answerProblem(
      c,
      new StepwellError("unknown_route", `Cannot find ${c.req.path}: no operation has this path`),
      log,
    )
  );
  // A name that the caller made up could be that of another request. `accessLog` keeps it beside ours.
  app.use(requestId({ limitLength: 0 }));
  app.use(located(services));
  app.use(accessLog(services));
  app.use(secureHeaders(SECURE_HEADERS));
  app.use(ownHostOnly(services));
  app.use(allowedOriginsOnly(services));
  const answerPages = crossOrigin(services);
  if (answerPages) app.use(answerPages);
  app.use(methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) => {
      c.header("Allow", methods.join(", "));
      const message = `Cannot ${c.req.method} ${c.req.path}: must be one of ${methods.join(", ")}`;
      return answerProblem(c, new StepwellError("method_not_allowed", message), log);
    },
  }));
  app.use(identified(services));
  app.use("/v1/*", (c, next) => {
    if (!services.stopping.aborted || SAFE_METHODS.has(c.req.method)) return next();
    throw new StepwellError("shutting_down", "Cannot change anything: the service was told to stop");
  });
  // Before the lease, whose time and refusals depend on whether there is such a run.
  app.use("/v1/runs/:run/*", runNeeded, leased(services));
  describeShared(app);
  for (const operation of OPERATIONS) operation.register(app, services);
  return app;
}

/** No HSTS: the proxy that terminates TLS decides on it. /docs sets its own content policy. */
const SECURE_HEADERS: NonNullable<Parameters<typeof secureHeaders>[0]> = {
  contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  strictTransportSecurity: false,
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xFrameOptions: "DENY",
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
  overwrite: false,
};
