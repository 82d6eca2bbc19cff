/**
 * Text of a model or a person on one line of a terminal or a caption: control characters, which could move the cursor or
 * worse, become spaces.
 */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ").trim();
}
