/** The bodies that clients of a simulation send: honest updates, hostile ones, and bodies that must be refused. */
import type { ErrorCode } from "../../../src/errors.ts";
import { below, pick, type Random } from "../../faults/support/bodies.ts";
import { fileOf, type GivenTensor } from "../rounds/support/contributions.ts";
import type { Tensor } from "./arithmetic.ts";
import type { Body } from "./state.ts";
import { isHolding, type RunPlan } from "./plans.ts";

/** A body, and what is wrong with its form. */
export interface Parcel {
  readonly body: Body;
  readonly bytes: Uint8Array;
  readonly refused: ErrorCode | undefined;
}

/** The client's knowledge of its run. */
export interface Seen {
  readonly iterations: number;
  readonly variables: Readonly<Record<string, readonly number[]>>;
}

/** Contents by kind; most are honest. */
const KINDS = [
  ...Array<"honest">(30).fill("honest"),
  "hostile",
  "hostile",
  "not a number",
  "infinite",
  "shape",
  "name",
  "row",
  "future",
  "hyperparameters",
  "empty",
  "sparse",
] as const;
type Kind = typeof KINDS[number];

/** Multiples of 1/256, so that they have few bits. */
const number = (next: Random) => (below(next, 1025) - 512) / 256;

export function parcelOf(
  plan: RunPlan,
  seen: Seen,
  { next, name }: { readonly next: Random; readonly name: string },
): Parcel {
  const clientId = next() < 0.9 ? name : null;
  const kind = pick(next, KINDS);
  const tensors = kind === "empty" ? [] : tensorsOf(plan, seen, { next, kind });
  const body: Body = {
    tensors,
    ...clientId !== null && { client_id: clientId },
    ...next() < 0.9 && { base_iteration: kind === "future" ? seen.iterations + 100_000 : seen.iterations },
    ...next() < 0.7 && { weight: pick(next, [1, 3, 7.5, 20]) },
    ...kind === "hyperparameters" && { hyperparameters: { learning_rate: 1 } },
  };
  const wrong = wrongOf(plan, body, kind);
  return { body, bytes: encode(plan, wrong?.tensors ?? tensors, body), refused: wrong?.code };
}

function tensorsOf(plan: RunPlan, seen: Seen, { next, kind }: { next: Random; kind: Kind }): Tensor[] {
  const isWhole = isHolding(plan) && next() < 0.95;
  const chosen = plan.variables.filter(() => isWhole || next() < 0.8);
  const variables = chosen.length > 0 ? chosen : plan.variables.slice(0, 1);
  const spread = kind === "hostile" ? pick(next, [2 ** 20, -1000]) : 1;
  const bad = kind === "not a number" ? NaN : kind === "infinite" ? Infinity : undefined;
  const all = variables.map(({ name, shape, isAverage }, n): Tensor => {
    const known = seen.variables[name] as readonly number[];
    const width = known.length / (shape[0] ?? 1);
    const rows = shape[0] ?? 0;
    const isSparse = rows > 0 && !isHolding(plan) && !isAverage && next() < 0.4 ||
      kind === "sparse" && rows > 0;
    const indices = isSparse
      ? Array.from({ length: 1 + below(next, 6) }, () => below(next, rows))
      : undefined;
    const base = indices?.flatMap((row) => known.slice(row * width, (row + 1) * width)) ?? known;
    const values = base.map((x) =>
      Math.fround((plan.payload === "weights" || isAverage ? x : 0) + spread * number(next))
    );
    if (bad !== undefined && n === 0) values[below(next, values.length)] = bad;
    return { name, values, ...indices && { indices } };
  });
  // In the file's order: indices, which are wider, come first.
  const order = ({ name, indices }: Tensor) => `${indices ? 0 : 1}${name}`;
  return all.sort((a, b) => order(a) < order(b) ? -1 : 1);
}

/** The invalid contents of the file, and the expected refusal. */
function wrongOf(
  plan: RunPlan,
  { tensors }: Body,
  kind: Kind,
): { tensors: Tensor[]; code: ErrorCode } | undefined {
  const [first, ...others] = tensors;
  if (!first) return undefined;
  const { indices: _, ...dense } = first;
  if (kind === "name") {
    return { tensors: [{ ...dense, name: "stranger" }, ...others], code: "unknown_variable" };
  }
  const rows = plan.variables.find(({ name }) => name === first.name)?.shape[0] ?? 0;
  if (kind === "shape") {
    return { tensors: [{ ...dense, values: [...first.values, 1, 2] }, ...others], code: "shape_mismatch" };
  }
  if (kind !== "row" || rows === 0) return undefined;
  const width = first.values.length / (first.indices?.length ?? rows);
  const row = { name: first.name, indices: [rows], values: first.values.slice(0, width) };
  return { tensors: [row, ...others], code: "index_out_of_range" };
}

function encode(plan: RunPlan, tensors: readonly Tensor[], { client_id, ...fields }: Body): Uint8Array {
  const given = tensors.map(({ name, values, indices }): GivenTensor => {
    const { shape = [], initial = [] } = plan.variables.find((each) => each.name === name) ?? {};
    if (indices) return { name, shape: [indices.length, ...shape.slice(1)], values, indices };
    return { name, shape: values.length === initial.length ? shape : [values.length], values };
  });
  const metadata = Object.entries(fields).filter(([key]) => key !== "tensors")
    .map(([key, value]) => [key, JSON.stringify(value)] as const);
  return fileOf(given, { ...client_id !== undefined && { client_id }, ...Object.fromEntries(metadata) });
}
