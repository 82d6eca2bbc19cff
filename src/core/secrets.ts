/** What stands in the place of a secret. */
const MASK = "***";

/** The password of an address (RFC 3986, section 3.2.1): "rtsp://name:password@host". One may hold an @ of its own. */
const IN_ADDRESS = /(:\/\/[^\s/?#:@]*):[^\s/]+@/g;

/** Settings that hold a secret, as programs and addresses write them: "user-pw=...", "?token=...". */
const SETTING =
  /\b(user-pw|pass(?:word|wd|phrase)?|pwd|secret|(?:access-?|auth-?)?token|api[-_]?key)=[^\s&"']+/gi;

/** `text` with passwords and tokens masked, as far as their form shows them: for what is printed, told or recorded. */
export function withoutSecrets(text: string): string {
  return text.replace(IN_ADDRESS, `$1:${MASK}@`).replace(SETTING, `$1=${MASK}`);
}
