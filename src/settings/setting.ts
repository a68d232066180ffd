/** What a row of the table of settings says. */
export const MIB = 1024 ** 2;
export const GIB = 1024 ** 3;

interface NumberSetting {
  readonly kind: "number";
  readonly unit: "port" | "bytes" | "seconds" | "count";
  readonly default: number;
  readonly minimum: number;
  readonly maximum: number;
  readonly description: string;
}

interface TextSetting {
  readonly kind: "text";
  readonly unit: "text";
  readonly default: string;
  readonly pattern: RegExp;
  /** What the pattern allows, in words. */
  readonly wanted: string;
  readonly description: string;
}

export type Setting = NumberSetting | TextSetting;
