/**
 * The bodies that a run gets again and again: the arrangements of the latest ones, by what their headers have in common.
 *
 * Invariant: a body is taken as a whole only if each of its tensors would be taken by itself, and in the same way.
 */
import type { WholeBodies, WholeBody, WireTensor } from "../../tensor.ts";
import { sameShape } from "../../tensor.ts";
import { BoundedMap } from "../../../kernels/bounded_map.ts";
import type { ByteSink } from "../../tensor.ts";
import type { RunState, VariableState } from "../tensors/state.ts";
import { Arrangement } from "./arrangement.ts";

/** Different bodies that are remembered. */
const KEPT = 4;

/** How long it takes to look at a tensor, and to put it in order. */
const TENSOR_UNITS = 200, ORDERED_UNITS = 300;

export class Bodies {
  readonly #state: RunState;
  readonly #arrangements = new BoundedMap<string, Arrangement>(KEPT);
  #inOrder: Arrangement | undefined;

  constructor(state: RunState) {
    this.#state = state;
  }

  /** All optimized variables, in the run's order. */
  get inOrder(): Arrangement {
    return this.#inOrder ??= new Arrangement(this.#state.optimized);
  }

  /** Forgets all. */
  clear(): void {
    this.#arrangements.clear();
    this.#inOrder = undefined;
  }

  /** The bodies that a staging takes: `isShared` says of which variables it takes float32 values beside others. */
  of(kind: string, { isShared, begin }: {
    readonly isShared: (variable: VariableState) => boolean;
    readonly begin: (arrangement: Arrangement) => ByteSink;
  }): WholeBodies {
    const arrangements = this.#arrangements, { variables } = this.#state;
    const bodyOf = (arrangement: Arrangement): WholeBody => ({
      bytes: 4 * arrangement.count,
      open: () => begin(arrangement),
    });
    return {
      recall(key) {
        const found = arrangements.get(`${kind} ${key}`);
        return found && bodyOf(found);
      },
      *check(tensors, key) {
        const order: VariableState[] = [];
        for (const tensor of tensors) {
          const variable = variables.get(tensor.name);
          if (!variable || !isShared(variable) || !fits(tensor, variable)) return undefined;
          order.push(variable);
          yield TENSOR_UNITS;
        }
        if (order.length === 0) return undefined;
        const arrangement = new Arrangement(order);
        yield ORDERED_UNITS * order.length;
        arrangements.set(`${kind} ${key}`, arrangement);
        return bodyOf(arrangement);
      },
    };
  }
}

const fits = ({ dtype, shape }: WireTensor, variable: VariableState) =>
  dtype === "F32" && sameShape(shape, variable.shape);
