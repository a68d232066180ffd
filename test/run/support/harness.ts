/** Helpers for tests of runs: a registry for each test, steps with JSON gradients, and a run's whole state. */
import { runCompiled } from "../../../kernels/compiler/runner.ts";
import { type ErrorCode, StepwellError } from "../../../src/errors.ts";
import type { RunSpec } from "../../../src/run/api/run_spec.ts";
import type { ContributionAnswer, StepAnswer, StepOptions } from "../../../src/run/api/steps.ts";
import { Registry, type RegistryOptions } from "../../../src/run/registry/registry.ts";
import type { Session } from "../../../src/run/session/session.ts";
import { writeTensors } from "../../../src/wire/json_tensors.ts";
import { random, SPECIAL } from "../../kernels/support/special.ts";

export function newRegistry(options: Partial<RegistryOptions> = {}): Registry {
  let ids = 0;
  return new Registry({
    runsMax: 10_000,
    memoryBytesMax: 2 ** 30,
    runner: runCompiled,
    now: () => new Date(0),
    newId: () => `run-${ids++}`,
    drawSeed: () => 7,
    ...options,
  });
}

export function open(spec: Omit<RunSpec, "id">, options: Partial<RegistryOptions> = {}): Promise<Session> {
  return newRegistry(options).create(spec);
}

/** One step with gradients in their JSON form. */
export function step(session: Session, gradients: unknown, options: Partial<StepOptions> = {}): StepAnswer {
  return send(session, gradients, options) as StepAnswer;
}

/** A contribution to a round that stays open. */
export function contribute(
  session: Session,
  gradients: unknown,
  options: Partial<StepOptions> = {},
): ContributionAnswer {
  return send(session, gradients, options) as ContributionAnswer;
}

/** Gradients in their JSON form: a step, or a contribution to one. */
export function send(
  session: Session,
  gradients: unknown,
  options: Partial<StepOptions> = {},
): StepAnswer | ContributionAnswer {
  const staging = session.stage("gradients");
  try {
    writeTensors(gradients, staging, "gradients");
    return session.applyGradients(staging, { aggregate: true, dryRun: false, ...options });
  } finally {
    staging.release();
  }
}

export function setVariables(session: Session, variables: unknown): void {
  const staging = session.stage("values");
  try {
    writeTensors(variables, staging, "variables");
    session.setVariables(staging);
  } finally {
    staging.release();
  }
}

/** The base64 form of a tensor, which loses no bit. */
export function tensor(shape: readonly number[], values: Iterable<number>) {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  return { dtype: "float32", shape, base64: bytes.toBase64() };
}

export function variablesOf(session: Session): Record<string, number[]> {
  const publication = session.publish();
  publication.release();
  return Object.fromEntries(publication.tensors.map(({ name, values }) => [name, [...values]]));
}

export function slotsOf(session: Session): Record<string, Record<string, number[]>> {
  return Object.fromEntries(
    session.slotNames().map((slot) => [
      slot,
      Object.fromEntries(session.readSlot(slot).map(({ name, values }) => [name, [...values]])),
    ]),
  );
}

/** The state of a run that a refusal must not change. Strict equality distinguishes −0 from 0. */
export function stateOf(session: Session) {
  const { iterations, tensors } = session.weights();
  return {
    version: session.version,
    iterations: session.iterations,
    optimizer: session.optimizer(),
    variables: variablesOf(session),
    slots: slotsOf(session),
    weights: [iterations, ...tensors.map(({ name, values }) => [name, ...values])],
    steps: session.steps(100),
  };
}

/** Returns the refusal that `act` throws; any other error, or none, fails the test. */
export function refusal(act: () => unknown): StepwellError {
  try {
    act();
  } catch (error) {
    if (error instanceof StepwellError) return error;
    throw error;
  }
  throw new Error("It was not refused");
}

export function codeOf(act: () => unknown): ErrorCode {
  return refusal(act).code;
}

/** The code of the refusal of a promise. */
export async function codeOfAsync(act: () => Promise<unknown>): Promise<ErrorCode> {
  return (await refusalAsync(act)).code;
}

/** The refusal of a promise. */
export async function refusalAsync(act: () => Promise<unknown>): Promise<StepwellError> {
  try {
    await act();
  } catch (error) {
    if (error instanceof StepwellError) return error;
    throw error;
  }
  throw new Error("Nothing was refused");
}

/** Ordinary float32 numbers around 0; with `special`, one in eight is a special value for arithmetic. */
export function numbers(
  count: number,
  { seed, special = false }: { seed: number; special?: boolean },
): number[] {
  const next = random(seed);
  return Array.from(
    { length: count },
    () =>
      special && next() < 1 / 8
        ? SPECIAL[Math.floor(next() * SPECIAL.length)] as number
        : Math.fround((next() - 0.5) * 4),
  );
}
