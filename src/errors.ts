/**
 * The catalogue of errors. Every refusal that a caller can get has a code here. The problem body, the documented
 * responses and the README's table are made from it. The text of any other error goes to the log only.
 */

const entry = <S extends number>(status: S, title: string, meaning: string) => ({ status, title, meaning });

/** Grouped by status, as in the README's table. The OpenAPI document keeps the order in which it was published. */
export const ERRORS = {
  // 400 Bad Request
  malformed_json: entry(400, "Body is not JSON", "The body cannot be parsed as JSON."),
  malformed_safetensors: entry(400, "Body is not safetensors", "The body breaks the safetensors format."),
  malformed_encoding: entry(
    400,
    "Body cannot be decompressed",
    "The body does not fit its Content-Encoding.",
  ),
  incomplete_body: entry(400, "Body is incomplete", "The body ended early or was cut off."),
  malformed_header: entry(400, "Header is malformed", "A request header cannot be understood."),

  malformed_request: entry(
    400,
    "Request is not HTTP",
    "The first line, the headers or the framing of the body break HTTP/1.1; the connection is closed.",
  ),

  // 401 Unauthorized
  unauthorized: entry(401, "Token missing or wrong", "The request needs `Authorization: Bearer <token>`."),

  // 403 Forbidden
  forbidden: entry(
    403,
    "Not allowed with this token",
    "The token lacks the scope or the run, or is bound to another client.",
  ),
  origin_not_allowed: entry(
    403,
    "Page of another origin",
    "A browser sent the request for a page whose origin is not in STEPWELL_CORS_ORIGINS.",
  ),

  // 404 Not Found
  unknown_route: entry(404, "No such resource", "No operation has this path."),
  unknown_run: entry(404, "No such run", "No run has this id."),
  unknown_group: entry(404, "No such group", "The run has no group of this name."),
  unknown_slot: entry(404, "No such slot", "The run's optimizer has no slot of this name."),
  unknown_optimizer: entry(404, "No such optimizer", "No optimizer has this class_name."),
  unknown_contribution: entry(
    404,
    "No such contribution",
    "The open round holds no contribution of this client.",
  ),

  // 405 Method Not Allowed
  method_not_allowed: entry(405, "Method not allowed", "The resource does not take this method."),

  // 406 Not Acceptable
  not_acceptable: entry(406, "No such representation", "`Accept` allows none of the types that exist here."),

  // 408 Request Timeout
  body_timeout: entry(408, "Body came too slowly", "The body did not arrive in the time that it may take."),

  head_timeout: entry(
    408,
    "Head came too slowly",
    "The first line and the headers did not arrive in the time that they may take; the connection is closed.",
  ),

  // 409 Conflict
  run_exists: entry(409, "Run exists already", "A run with this id exists."),
  optimizer_exists: entry(409, "Name is taken", "Another optimizer has this class_name, whatever the case."),
  optimizer_in_use: entry(409, "Optimizer is in use", "A run has this optimizer, or it is built in."),
  run_replaced: entry(
    409,
    "Run was replaced",
    "A checkpoint took the run's place before the request was done: send it again.",
  ),
  key_in_progress: entry(409, "Key in progress", "Another request with this Idempotency-Key is in progress."),
  contribution_repeated: entry(
    409,
    "Client has contributed",
    "The open round holds a contribution of this client already.",
  ),
  too_stale: entry(409, "Contribution is too stale", "The contribution is older than the run takes."),
  round_dropped: entry(
    409,
    "Round was dropped",
    "The round that was waited for was dropped: its contributions have no effect.",
  ),
  iterations_exhausted: entry(
    409,
    "Iterations are exhausted",
    "The run is at iteration 2^53 - 1, the last one: set its weights, or its checkpoint, to go on.",
  ),
  contribution_withdrawn: entry(
    409,
    "Contribution was withdrawn",
    "The contribution whose step was waited for was withdrawn meanwhile.",
  ),
  not_withdrawable: entry(
    409,
    "Contribution cannot be withdrawn",
    "It is part of a sum that cannot be made anew: without a journal, or after the variables were changed.",
  ),

  // 412 Precondition Failed
  version_mismatch: entry(
    412,
    "Run is at another version",
    "`If-Match` names another version than the run's.",
  ),

  // 413 Content Too Large
  body_too_large: entry(413, "Body is too large", "The body is larger than this run, or any run, accepts."),

  // 415 Unsupported Media Type
  unsupported_media_type: entry(
    415,
    "Media type not supported",
    "The Content-Type or Content-Encoding is not taken.",
  ),

  // 421 Misdirected Request
  misdirected_request: entry(
    421,
    "Not a name of this service",
    "`Host` names something else than this service; STEPWELL_HOSTS adds names.",
  ),

  // 422 Unprocessable Content
  sparse_with_aggregator: entry(
    422,
    "Aggregator with a sparse gradient",
    "The run's aggregator, or its noise, needs whole tensors.",
  ),
  key_reused: entry(422, "Key was used", "The Idempotency-Key was used for another request."),
  invalid_request: entry(
    422,
    "Request does not fit its schema",
    "A field is missing, unknown or out of range.",
  ),
  unknown_class: entry(422, "Unknown class_name", "No member of the family has this class_name."),
  invalid_config: entry(
    422,
    "Config is not valid",
    "A member's config has an unknown key or a value out of range.",
  ),
  invalid_definition: entry(
    422,
    "Definition is not valid",
    "The definition of an optimizer breaks a rule of its form, its names or its formulas.",
  ),
  unknown_variable: entry(422, "Unknown variable", "The run has no variable of this name."),
  shape_mismatch: entry(422, "Shape does not fit", "A tensor's shape is not the wanted one."),
  dtype_mismatch: entry(422, "Element type does not fit", "A tensor's dtype is not one that is taken here."),
  index_out_of_range: entry(
    422,
    "Index out of range",
    "An index is negative or not below the number of rows or elements.",
  ),
  non_finite_gradient: entry(
    422,
    "Gradient is not finite",
    "A gradient holds NaN or an infinity, and the run rejects those.",
  ),
  invalid_number: entry(422, "Value is not a number", "A tensor holds something that is not a number."),
  no_gradients: entry(422, "No gradients provided for any variable", "All gradients were null or absent."),
  sparse_with_constraint: entry(
    422,
    "Constraint with a sparse gradient",
    "Keras cannot apply a constraint to a sparse update.",
  ),
  sparse_with_noise: entry(
    422,
    "Noise with a sparse gradient",
    "Noise has to reach every row, not only those that were sent.",
  ),
  invalid_loss: entry(
    422,
    "Loss is not valid",
    "The loss cannot be read, or does not fit the run's variables and its inputs.",
  ),
  loss_too_large: entry(
    422,
    "Loss is too large",
    "The loss has more operations or numbers than are taken here.",
  ),
  loss_too_slow: entry(
    422,
    "Loss takes too long",
    "The loss was not evaluated in the time that it may take.",
  ),
  invalid_weights: entry(422, "Weights do not fit", "The list of weights has the wrong length or shapes."),
  run_too_large: entry(
    422,
    "Run is too large",
    "The run needs more memory than one arena can hold, or its names more bytes than a checkpoint can.",
  ),

  // 429 Too Many Requests
  too_many_requests: entry(
    429,
    "Too many requests",
    "The client sends more than STEPWELL_REQUESTS_PER_SECOND; `RateLimit` has the figures.",
  ),

  // 431 Request Header Fields Too Large
  head_too_large: entry(
    431,
    "Head is too large",
    "The first line and the headers are larger, or more, than the settings allow; the connection is closed.",
  ),

  // 500 Internal Server Error
  run_damaged: entry(
    500,
    "Run is damaged",
    "The run's files are not what was written; no other run is concerned.",
  ),
  internal: entry(500, "Internal error", "Something broke; the log has the details under the request id."),

  // 503 Service Unavailable
  too_many_runs: entry(503, "Too many runs", "The service holds as many runs as its settings allow."),
  too_many_optimizers: entry(503, "Too many optimizers", "The service keeps as many optimizers as it can."),
  out_of_memory: entry(503, "Memory bound reached", "The service holds as many bytes as its settings allow."),
  busy: entry(
    503,
    "Too busy",
    "There is no place for this upload, another stream or another wait at the moment, or none for this client.",
  ),
  shutting_down: entry(503, "Shutting down", "The service is about to stop."),
  storage_failed: entry(503, "Storage failed", "The data folder could not be written; nothing was changed."),

  // 507 Insufficient Storage
  storage_full: entry(507, "Storage is full", "The disk of the data folder is full; nothing was changed."),
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** One fault at one place of the request. `path` is for example `variables.0.shape`, or a header's name. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/** A refusal. `message` says what cannot be done, what is there and what must be, with names, shapes and values. */
export class StepwellError extends Error {
  override readonly name = "StepwellError";
  readonly code: ErrorCode;
  readonly issues: readonly Issue[];

  constructor(code: ErrorCode, message: string, issues: readonly Issue[] = []) {
    super(message);
    this.code = code;
    this.issues = issues;
  }
}

/** The part of a request that a refusal is about: its path, and its name in messages. */
export interface Subject {
  readonly path: string;
  /** Empty if the problem names the part itself. */
  readonly called: string;
}

/**
 * A refusal for one reason: "Cannot {action}: {subject} {problem}". The problem is also the issue at the subject's
 * path. A string is both path and name.
 */
export function refusal(
  code: ErrorCode,
  action: string,
  subject: string | Subject,
  problem: string,
): StepwellError {
  const { path, called } = typeof subject === "string" ? { path: subject, called: subject } : subject;
  const reason = called === "" ? problem : `${called} ${problem}`;
  return new StepwellError(code, `Cannot ${action}: ${reason}`, [{ path, message: problem }]);
}
