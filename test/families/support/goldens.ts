/** Reads the recorded goldens of test/golden; its README explains their fields. */

export interface Bound {
  readonly ulp?: 0;
  readonly relative?: number;
  readonly slots_relative?: number;
}

export interface GoldenGradient {
  readonly dense?: string;
  readonly indices?: readonly number[];
  readonly values?: string;
}

export interface GoldenCase {
  readonly name: string;
  readonly optimizer: unknown;
  readonly variables: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly initial: string;
  }[];
  readonly steps: readonly {
    readonly patch?: Readonly<Record<string, unknown>>;
    readonly set_weights?: readonly unknown[];
    readonly gradients: Readonly<Record<string, GoldenGradient | null>>;
  }[];
  readonly expected: {
    readonly after: readonly {
      readonly step: number;
      readonly variables: Readonly<Record<string, string>>;
    }[];
    readonly weights: readonly {
      readonly variable?: string;
      readonly slot?: string;
      readonly values?: string;
    }[];
    readonly learning_rates?: readonly (number | string)[];
    readonly config?: unknown;
  };
  readonly bound: Bound;
}

const FOLDER = new URL("../../golden/", import.meta.url);

export function goldenFiles(): string[] {
  return [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((name) => name.endsWith(".json"))
    .sort();
}

export function readGolden<T>(file: string): T {
  return JSON.parse(Deno.readTextFileSync(new URL(file, FOLDER))) as T;
}

export const decode = (base64: string) => new Float32Array(Uint8Array.fromBase64(base64).buffer);

/** Keras writes parts in its newer form; ours is the older one, which Keras reads too. */
export function withoutModules(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const { module: _module, registered_name: _registeredName, ...rest } = value as Record<string, unknown>;
  return Object.fromEntries(Object.entries(rest).map(([key, inner]) => [key, withoutModules(inner)]));
}
