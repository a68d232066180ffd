/**
 * The tokenizer of formulas and losses: text → tokens with their places. It accepts any text: a character that no
 * language uses is a symbol too, which the parser refuses.
 */

/** Line and column count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Token {
  readonly kind: "number" | "name" | "quoted" | "symbol" | "end";
  /** As written, quotes included. */
  readonly text: string;
  readonly place: Place;
}

/** After white space: a name, a number, quoted text, or a symbol, which may be any character. */
const TOKEN =
  /\s*(?:([A-Za-z_][A-Za-z0-9_]*)|(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|('[^'\n]*'|"[^"\n]*")|([<>=!]=?|[\uD800-\uDBFF][\uDC00-\uDFFF]|[^]))/y;

/** Splits any text into tokens. With `line`, all of the text counts as that one line, even if it has line breaks. */
export function tokenize(text: string, line?: number): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  let number = line ?? 1, start = 0;
  let newline = line === undefined ? text.indexOf("\n") : -1;
  const add = (kind: Token["kind"], found: string, to: number): void => {
    const from = to - found.length;
    for (; newline >= 0 && newline < from; newline = text.indexOf("\n", start)) {
      number += 1;
      start = newline + 1;
    }
    tokens.push({ kind, text: found, place: { line: number, column: from - start + 1 } });
  };
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const [, name, digits, quoted, symbol] = TOKEN.exec(text) as RegExpExecArray;
    const at = TOKEN.lastIndex;
    if (name !== undefined) add("name", name, at);
    else if (digits !== undefined) add("number", digits, at);
    else if (quoted !== undefined) add("quoted", quoted, at);
    else add("symbol", symbol as string, at);
  }
  add("end", "", end);
  return tokens;
}

/** A token as error messages name it. */
export function shown({ kind, text }: Token): string {
  if (kind === "end") return "the end";
  if (kind === "quoted") return text;
  return /["']/.test(text) ? "an unclosed quote" : `"${text}"`;
}
