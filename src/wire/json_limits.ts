/** What a JSON body may hold: where its tensors are, and how much there may be besides them. */

/** A place in a JSON body: whether a tensor may stand there, and the places below it. */
export interface TensorPlace {
  readonly isTensor?: boolean;
  /** A text that is the base64 of a tensor. */
  readonly isBase64?: boolean;
  readonly members?: ReadonlyMap<string, TensorPlace>;
  /** The place of every element of an array, and of every member that has none of its own. */
  readonly each?: TensorPlace;
}

export interface JsonLimits {
  readonly places?: TensorPlace | undefined;
  /** Bytes of the text that are no numbers of tensors. */
  readonly plainBytesMax: number;
  /** Values that are not parts of tensors. */
  readonly valuesMax: number;
  /** Names that one object may have. */
  readonly namesMax: number;
}

const BASE64: readonly [string, TensorPlace] = ["base64", { isBase64: true }];
/** Nested numbers, or `{dtype, shape, base64}`. */
export const TENSOR: TensorPlace = { isTensor: true, members: new Map([BASE64]) };
/** A tensor, or `{indices, values, scale}` of tensors. */
const GRADIENT: TensorPlace = {
  isTensor: true,
  members: new Map([BASE64, ["indices", TENSOR], ["values", TENSOR], ["scale", TENSOR]]),
};

/** A body with a member that holds tensors by name, or in a list. */
export const tensorsIn = (member: string): TensorPlace => membersOf({ [member]: { each: GRADIENT } });

export const membersOf = (members: Readonly<Record<string, TensorPlace>>): TensorPlace => ({
  members: new Map(Object.entries(members)),
});

/** Memory for each byte of text: an array of two letters and a comma takes some 70 bytes. */
const PLAIN_WEIGHT = 24;
/** A number of one letter and a comma takes 8 bytes as float64, and 4 as float32. */
const TENSOR_WEIGHT = 6;

/** The memory that a text of so many bytes may become. */
export function jsonMemory(bytes: number, { plainBytesMax, places }: JsonLimits): number {
  const plain = Math.min(bytes, plainBytesMax);
  return PLAIN_WEIGHT * plain + (places ? TENSOR_WEIGHT * (bytes - plain) : 0);
}
