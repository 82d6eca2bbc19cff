import { spawnSync } from "node:child_process";
import { describe } from "vitest";

export const hasSocat = spawnSync("socat", ["-V"]).error === undefined;

/** A suite that needs socat: skipped, and reported so, where it is absent; with REQUIRE_SOCAT=1 it fails instead. */
export function describeWithSocat(name: string, body: () => void): void {
  if (!hasSocat && process.env.REQUIRE_SOCAT === "1") {
    throw new Error("socat is not installed, and REQUIRE_SOCAT=1 says that it must be: sh deploy/setup.sh");
  }
  describe.skipIf(!hasSocat)(hasSocat ? name : `${name} (socat is not installed)`, body);
}
