/**
 * Builds a run from a checkpoint (checkpoint_format.ts). The file is untrusted input, so every part is checked.
 *
 * It does not read files. Invariant: if it fails, it takes no memory.
 */
import { atOnce, inPieces } from "../../slices.ts";
import type { OptimizerFamily } from "../../families/optimizers/mod.ts";
import { ruleOf } from "../../families/optimizers/optimizer.ts";
import { loadOptimizer } from "../../families/optimizers/saved.ts";
import type { Releasable } from "../../releasable.ts";
import {
  type ByteSink,
  sameShape,
  type Shape,
  showShape,
  type TensorTarget,
  type WholeBody,
} from "../../tensor.ts";
import type { RunSpec } from "../api/run_spec.ts";
import { type SavedRun, slotTensor, variableTensor } from "./checkpoint_format.ts";
import { LayoutSink } from "./layout_sink.ts";
import type { RunLayout } from "./run_layout.ts";
import { readingSaved } from "./saved_reader.ts";
import { refuse, takingState } from "./saved_state.ts";
import type { Memory } from "../tensors/memory.ts";
import { type ResolvedGroup, withSparse } from "../spec/groups.ts";
import { type ResolvedSpec, resolveOptimizer, resolvingSpec } from "../spec/spec.ts";
import { RunState } from "../tensors/state.ts";

/** The optimizers that a checkpoint may name. */
interface Definitions {
  /** All of them, including the definition that a checkpoint contains. */
  familyWith(definition: unknown): OptimizerFamily;
}

/** The groups of the spec with their optimizers as they were saved. */
function loadGroups(
  { groups: saved = [] }: SavedRun,
  groups: readonly ResolvedGroup[],
  family: OptimizerFamily,
): readonly ResolvedGroup[] {
  const names = saved.map(({ name }) => name).join(), wanted = groups.map(({ name }) => name).join();
  if (names !== wanted) refuse(`groups are ${names || "none"}, must be ${wanted || "none"} as in its spec`);
  return groups.map((group, n) => {
    const { optimizer: json, own } = saved[n] as (typeof saved)[number];
    const optimizer = loadOptimizer(json, { family, path: `stepwell.groups.${n}.optimizer` });
    if (optimizer.member !== group.optimizer.member) {
      refuse(`the optimizer of the group "${group.name}" is not the one in its spec`);
    }
    return {
      ...group,
      optimizer: withSparse(optimizer, group.optimizer.sparse),
      own: own ? new Set(own) : undefined,
    };
  });
}

/** How long it takes to look up the places of a variable, in nanoseconds. */
const PLACE_UNITS = 500;

interface ReaderParts {
  readonly memory: Memory;
  readonly optimizers: Definitions;
}

/** Takes a checkpoint's tensors as a target; then `finish` or `release` must be called. */
export class CheckpointReader implements TensorTarget, Releasable {
  readonly spec: ResolvedSpec;
  readonly state: RunState;
  readonly version: number;
  readonly sequence: number;
  readonly round: number;
  /** By the names of the tensors that have not come yet; undefined: no tensor has been asked for. */
  #expected: Map<string, { shape: Shape; offset: number }> | undefined;
  /** Whether all tensors have been taken as a whole. */
  #isFilled = false;

  /**
   * Allocates the run, in pieces. `isOwn`: the service wrote the file for itself, whatever limits held then. Throws
   * invalid_request for other metadata, body_too_large, and the errors of its spec.
   */
  static *opening(
    { memory, optimizers }: ReaderParts,
    metadata: ReadonlyMap<string, string>,
    { isOwn }: { readonly isOwn: boolean },
  ): Generator<number, CheckpointReader> {
    const saved = yield* readingSaved(metadata, isOwn);
    const family = optimizers.familyWith(saved.definition);
    const optimizer = loadOptimizer(saved.optimizer, { family, path: "stepwell.optimizer" });
    const given = saved.spec as RunSpec;
    const resolved = yield* resolvingSpec(given, resolveOptimizer(given, family));
    const spec = {
      ...resolved,
      optimizer: withSparse(optimizer, given.sparse),
      groups: loadGroups(saved, resolved.groups, family),
    };
    using made = new DisposableStack();
    const state = made.use(yield* RunState.making(memory, spec, ruleOf(optimizer)));
    yield* takingState(saved, state, spec);
    made.move();
    return new CheckpointReader(spec, state, saved);
  }

  private constructor(spec: ResolvedSpec, state: RunState, saved: SavedRun) {
    this.spec = spec;
    this.state = state;
    this.version = saved.version;
    this.sequence = saved.sequence ?? saved.version;
    this.round = saved.round ?? 0;
  }

  /** Where the tensors go that are taken one by one. */
  get #places(): Map<string, { shape: Shape; offset: number }> {
    return this.#expected ??= atOnce(this.expecting());
  }

  /** Looks up where the tensors go, in pieces: to be called before the first one is taken, if there may be many. */
  *expecting(): Generator<number, Map<string, { shape: Shape; offset: number }>> {
    const places = new Map<string, { shape: Shape; offset: number }>();
    yield* inPieces(this.state.variables.values(), PLACE_UNITS, (variable) => {
      const { name, shape, offset } = variable;
      places.set(variableTensor(name), { shape, offset });
      for (const slot of variable.home.slots.keys()) {
        places.set(slotTensor(slot, name), { shape, offset: variable.slotOffset(slot) });
      }
    });
    return this.#expected = places;
  }

  /** All tensors together, in a layout of the run. */
  wholeIn(layout: RunLayout): WholeBody {
    return {
      bytes: layout.dataBytes,
      open: () => {
        this.#isFilled = true;
        return new LayoutSink(this.state, layout);
      },
    };
  }

  dense(name: string, tensor: { dtype: string; shape: Shape }): ByteSink {
    const place = this.#places.get(name);
    if (!place) refuse(`the tensor "${name}" is not one of the run's, or is given twice`);
    if (tensor.dtype !== "F32") refuse(`the tensor "${name}" is ${tensor.dtype}, must be F32`);
    if (!sameShape(tensor.shape, place.shape)) {
      refuse(`the tensor "${name}" has shape ${showShape(tensor.shape)}, must be ${showShape(place.shape)}`);
    }
    this.#places.delete(name);
    let written = 0;
    return {
      write: (bytes) => {
        this.state.arena.u8(place.offset + written, bytes.length).set(bytes);
        written += bytes.length;
      },
      close: () => {},
    };
  }

  sparse(name: string): never {
    refuse(`the tensor "${name}" is sparse, must be dense`);
  }

  none(name: string): never {
    refuse(`the tensor "${name}" is null, must be given`);
  }

  /** Throws if a tensor is missing. */
  finish(): void {
    if (this.#isFilled) return;
    const [missing] = this.#places.keys();
    if (missing !== undefined) refuse(`the tensor "${missing}" is missing`);
  }

  /** Releases the run's memory. It must not be called once a session owns it. */
  release(): void {
    this.state.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
