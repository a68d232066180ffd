/**
 * The smallest parts of JSON, read from bytes: numbers, and the letters of strings. It knows no arrays and no objects.
 *
 * Every function reads a buffer whose last byte is a sentinel 0, which no token contains: a token that ends there may
 * go on in bytes that have not arrived yet.
 *
 * Invariant: a number has the bits that `JSON.parse` gives it.
 */

/** The fault of a number, and the index of the byte that makes it one. */
export interface NumberFault {
  readonly at: number;
}

const ZERO = 0x30, MINUS = 0x2d, PLUS = 0x2b, DOT = 0x2e, LETTER_E = 0x65;
/** The powers of ten that float64 holds exactly. */
const POWERS = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));
/** Numbers with more letters are refused: nobody writes them, and each new chunk would scan them again. */
export const NUMBER_BYTES_MAX = 4096;

/** Where the last number that {@link scanNumber} read ended: the index after it. */
export let numberEnd = 0;

/**
 * Reads the number at `at` and sets {@link numberEnd}. Returns its value, or the fault.
 *
 * A mantissa up to 2^53 and a power of ten up to 22 are exact, so their product or quotient is rounded once: that is
 * the nearest float64 (Clinger 1990). `Number` reads all other numbers.
 */
export function scanNumber(bytes: Uint8Array, at: number): number | NumberFault {
  let i = at;
  const isNegative = bytes[i] === MINUS;
  if (isNegative) i++;
  const first = i;
  let mantissa = 0, digit = bytes[i]! - ZERO;
  while (digit >= 0 && digit < 10) {
    mantissa = mantissa * 10 + digit;
    digit = bytes[++i]! - ZERO;
  }
  if (i === first) return numberFault(i);
  if (bytes[first] === ZERO && i > first + 1) return numberFault(first + 1);
  let power = 0;
  if (bytes[i] === DOT) {
    const point = ++i;
    digit = bytes[i]! - ZERO;
    while (digit >= 0 && digit < 10) {
      mantissa = mantissa * 10 + digit;
      digit = bytes[++i]! - ZERO;
    }
    if (i === point) return numberFault(i);
    power = point - i;
  }
  if ((bytes[i]! | 0x20) === LETTER_E) {
    const isSmall = bytes[++i] === MINUS;
    if (isSmall || bytes[i] === PLUS) i++;
    const start = i;
    let exponent = 0;
    digit = bytes[i]! - ZERO;
    while (digit >= 0 && digit < 10) {
      exponent = exponent * 10 + digit;
      digit = bytes[++i]! - ZERO;
    }
    if (i === start) return numberFault(i);
    power += isSmall ? -exponent : exponent;
  }
  numberEnd = i;
  if (mantissa <= Number.MAX_SAFE_INTEGER && power >= -22 && power <= 22) {
    const value = power < 0 ? mantissa / POWERS[-power]! : mantissa * POWERS[power]!;
    return isNegative ? -value : value;
  }
  return Number(asciiText(bytes, at, i));
}

/** The number is cut off, or no number, at this index: {@link numberEnd} is the index too. */
function numberFault(at: number): NumberFault {
  numberEnd = at;
  return { at };
}

/** The text of bytes that are known to be ASCII. */
export function asciiText(bytes: Uint8Array, at: number, end: number): string {
  return String.fromCharCode.apply(null, bytes.subarray(at, end) as unknown as number[]);
}

/** Whether the letters that {@link scanLetters} passed over are all ASCII. */
export let areAscii = true;

/** The index of the first byte from `at` that is no plain letter of a string: a quote, a backslash, or a control. */
export function scanLetters(bytes: Uint8Array, at: number): number {
  let seen = 0, i = at;
  for (;; i++) {
    const byte = bytes[i]!;
    if (byte === 0x22 || byte === 0x5c || byte < 0x20) break;
    seen |= byte;
  }
  areAscii = seen < 0x80;
  return i;
}
