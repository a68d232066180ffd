/** The trajectories of test/golden/conventions: the numbers that test/golden/trajectory.py draws, and their cases. */
import type { PartJson } from "../../../src/families/mechanism/family.ts";
import { readGolden } from "./goldens.ts";

export interface Trajectory {
  readonly name: string;
  readonly optimizer: { readonly class_name: string; readonly config: Readonly<Record<string, unknown>> };
  readonly sparse?: boolean;
  /** In place of the file's bound; the script says why. */
  readonly bound?: number;
  /** The variable after some steps, the last one among them. */
  readonly after: Readonly<Record<string, string>>;
  /** After the last step. */
  readonly slots: Readonly<Record<string, string>>;
}

export interface Trajectories {
  /** |got - want| may be so much of the largest |want| of the tensor. */
  readonly bound: number;
  readonly slots_bound: number;
  readonly cases: readonly Trajectory[];
  /** What the framework's serialize() writes. */
  readonly forms?: readonly { readonly name: string; readonly form: PartJson }[];
}

export const readTrajectories = (framework: string) =>
  readGolden<Trajectories>(`conventions/${framework}.json`);

export const SHAPE = [3, 4], ROWS = [6, 2];
const SCALES = [0, 0, 1, 2, 4, 6, 8, 10, 12, 14, 17, 20].map((power) => 2 ** -power);

/** Numbers in [-1, 1) with 24 bits each. */
export function draw(seed: number, count: number): number[] {
  const values: number[] = [];
  let state = seed;
  for (let n = 0; n < count + 3; n++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values.push((state >>> 8) / 2 ** 23 - 1);
  }
  return values.slice(3);
}

export const initial = (shape: readonly number[]) =>
  draw(1, shape.reduce((product, size) => product * size, 1));

export function gradient(step: number): number[] {
  return draw(1000 + step, SCALES.length)
    .map((value, k) => (step + k) % 7 === 0 ? 0 : value * (SCALES[k] as number));
}

/** Rows of a step, one of them twice, and their values one after the other. */
export function sparseGradient(step: number): { indices: number[]; values: number[] } {
  const indices = [step % 6, (2 * step + 1) % 6, step % 6];
  return { indices, values: draw(5000 + step, indices.length * 2) };
}
