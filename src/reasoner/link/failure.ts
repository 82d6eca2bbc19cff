import { RuntimeError } from "../../core/errors.ts";

/** The errors of a link, as `Link` lists them. */
export function linkFailure(
  code: "link-down" | "link-busy" | "link-timeout" | "link-refused",
  part: string,
  problem: string,
  cause?: unknown,
): RuntimeError {
  return new RuntimeError(code, { part, problem, cause });
}
