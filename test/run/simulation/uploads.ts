/** Uploads of contributions in pieces that take time, up to the turn, in which the model is compared. */
import assert from "node:assert/strict";
import type { Session } from "../../../src/run/session/session.ts";
import { type GradientFields, gradientFields } from "../../../src/wire/metadata_fields.ts";
import { tensorFileReader } from "../../../src/wire/tensor_file.ts";
import type { Parcel } from "./bodies.ts";
import type { Ledger } from "./ledger.ts";
import { contribute } from "./model.ts";
import { attempt, codeOf, isTrouble, Lost } from "./outcomes.ts";
import type { Service } from "./service.ts";
import type { Request } from "./state.ts";

export interface Upload {
  readonly request: Request;
  readonly pieces: number;
  /** Delay between two pieces. */
  readonly pieceMs: number;
  /** The part of the body that is sent before the connection breaks. */
  readonly cut?: number;
}

/** Sends a body and returns the answer. Throws refusals, and `Lost`. */
export function send(service: Service, ledger: Ledger, parcel: Parcel, upload: Upload): Promise<unknown> {
  const { clock, figures, world } = service, { request } = upload, { key } = request;
  return service.request(ledger, async (session, alive) => {
    using _key = key && session.replies.acquireKey(key.key);
    using staging = session.stage("gradients");
    let fields: GradientFields = {};
    const reader = tensorFileReader(staging, {
      onMetadata: (metadata) => fields = gradientFields(metadata),
    });
    for (const piece of piecesOf(parcel, upload)) {
      checkRefusal(parcel, () => reader.write(piece));
      await clock.sleep(upload.pieceMs);
      alive();
    }
    if (upload.cut !== undefined) throw new Lost();
    checkRefusal(parcel, () => reader.close());
    assert.equal(parcel.refused, undefined, "It was not refused");
    const known = key && session.replies.find(key), wanted = key && ledger.state.replies.get(key.key);
    assert.deepEqual(known, wanted?.answer, "what a retry is told");
    if (known) {
      figures.replayed += 1;
      return known;
    }
    world.registry.confirm(session);
    return turn(service, ledger, session, {
      act: () =>
        session.applyGradients(staging, {
          aggregate: request.aggregate,
          dryRun: request.dryRun,
          baseIteration: fields.base_iteration,
          clientId: fields.client_id,
          weight: fields.weight,
          hyperparameters: fields.hyperparameters,
          ...key && { key: { ...key, at: clock.now } },
        }),
      predicted: contribute(ledger.plan, ledger.state, { body: parcel.body, request, now: clock.now }),
    });
  });
}

function* piecesOf({ bytes }: Parcel, { pieces, cut = bytes.length }: Upload) {
  const length = Math.ceil(bytes.length / pieces);
  for (let at = 0; at < cut; at += length) yield bytes.subarray(at, Math.min(at + length, cut));
}

/** While it is received, a body may be refused only because of its form. */
function checkRefusal({ refused }: Parcel, act: () => void): void {
  const { error } = attempt(act);
  if (error && !isTrouble(error)) assert.equal(codeOf(error), refused);
  if (error) throw error;
}

interface Turn {
  readonly act: () => unknown;
  readonly predicted: ReturnType<typeof contribute>;
}

function turn(
  service: Service,
  ledger: Ledger,
  session: Session,
  { act, predicted: { changes, refused, answer } }: Turn,
): unknown {
  const { id } = ledger.plan, { sequence } = ledger.state;
  const { value, error } = attempt(act);
  const made = changes.slice(0, session.sequence - sequence);
  // When resources are short, a contribution may be refused, and one that completes its round may get no step yet.
  const isShort = made.length < changes.length;
  if (isShort || isTrouble(error)) service.excuse(id);
  ledger.commit(made);
  if (isTrouble(error)) throw error;
  assert.equal(codeOf(error), isShort ? undefined : refused, id);
  if (error) throw error;
  if (isShort) service.figures.pending += 1;
  assert.deepEqual(value, answer ?? made.at(-1)?.answer, id);
  return value;
}
