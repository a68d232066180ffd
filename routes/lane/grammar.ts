/** The characters of HTTP/1.1 by class (RFC 9110, 5.5 and 5.6; RFC 9112, 3.2), for bytes. It parses nothing. */

function classOf(isMember: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => isMember(byte) ? 1 : 0);
}

const DELIMITERS = '"(),/:;<=>?@[\\]{}';
const isVisible = (byte: number) => byte > 0x20 && byte < 0x7f;

/** Of methods and names. */
export const TOKEN = classOf((byte) => isVisible(byte) && !DELIMITERS.includes(String.fromCharCode(byte)));
/** Of values: visible characters, space, tab, and the bytes that were once Latin-1. */
export const VALUE = classOf((byte) => isVisible(byte) || byte === 0x20 || byte === 0x09 || byte >= 0x80);
/** Of targets: wider than URIs, as clients write them. A fragment is never sent. */
export const TARGET = classOf((byte) => isVisible(byte) && byte !== 0x23);

export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const TAB = 0x09;
export const COLON = 0x3a;
