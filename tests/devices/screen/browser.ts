import { spawnSync } from "node:child_process";
import { type Browser, chromium } from "playwright-core";

/** The names under which distributions install it. */
const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** The installed Chromium that can be started; null if there is none. */
export function installedChromium(): string | null {
  return NAMES.find((name) => spawnSync(name, ["--version"]).status === 0) ?? null;
}

/**
 * Why the tests in a browser cannot run; null if they can. With REQUIRE_BROWSER=1 they run, and fail, in any case, so
 * that no machine of ours passes them by.
 */
export function whyNoBrowser(): string | null {
  if (installedChromium() !== null || process.env.REQUIRE_BROWSER === "1") return null;
  return "no Chromium is installed (apt-get install chromium)";
}

/** @throws Error if none is installed. */
export async function launchBrowser(): Promise<Browser> {
  const name = installedChromium();
  if (name === null) throw new Error(`none of ${NAMES.join(", ")} is installed`);
  const path = spawnSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).stdout.trim();
  return chromium.launch({ executablePath: path, args: ["--disable-gpu", "--disable-dev-shm-usage"] });
}
