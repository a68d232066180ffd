/** A copy of all variables of one version, as they lie in a safetensors file. No later step changes it. */
import type { NamedTensor } from "../../tensor.ts";
import type { FileLayout } from "../../wire/file_layout.ts";
import type { PublishedFile } from "../api/run_session.ts";
import type { RunState, VariableState } from "./state.ts";
import { copyWords, wordsOf } from "./words.ts";

/** What is the same for every version of a run. */
export interface Order {
  /** In the order of the run. */
  readonly variables: readonly VariableState[];
  readonly layout: FileLayout<VariableState>;
}

export class Whole implements PublishedFile {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly #order: Order;
  #tensors: ReadonlyMap<string, NamedTensor> | undefined;

  constructor({ arena }: RunState, order: Order) {
    const { layout } = this.#order = order;
    this.data = new Uint8Array(layout.dataBytes);
    const target = new Int32Array(this.data.buffer), source = wordsOf(arena);
    let to = 0;
    for (const { offset, count } of layout.ordered) {
      copyWords(source, offset / 4, { target, to, count });
      to += count;
    }
  }

  header(metadata: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
    return this.#order.layout.header(metadata);
  }

  /** All of them, in the order of the run. */
  get tensors(): readonly NamedTensor[] {
    return [...this.#byName.values()];
  }

  tensor(name: string): NamedTensor | undefined {
    return this.#byName.get(name);
  }

  /** Views of the copy, made when somebody asks for them. */
  get #byName(): ReadonlyMap<string, NamedTensor> {
    if (this.#tensors) return this.#tensors;
    const { layout, variables } = this.#order;
    const places = new Map<VariableState, number>();
    let end = 0;
    for (const variable of layout.ordered) {
      places.set(variable, end);
      end += 4 * variable.count;
    }
    return this.#tensors = new Map(variables.map((variable) => {
      const { name, shape, count } = variable;
      const values = new Float32Array(this.data.buffer, places.get(variable), count);
      return [name, { name, shape, values }];
    }));
  }
}
