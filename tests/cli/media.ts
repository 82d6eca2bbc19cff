import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A new folder for the files of one test file. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "microturn-cli-"));
}

/** Has ffmpeg make a file. */
export function ffmpeg(...args: string[]): void {
  execFileSync("ffmpeg", ["-nostdin", "-loglevel", "error", "-y", ...args]);
}

/** A moving test picture, `seconds` long. */
export function makeVideo(path: string, seconds: number, size = "160x120"): void {
  ffmpeg(
    "-f",
    "lavfi",
    "-i",
    `testsrc=size=${size}:rate=10:duration=${seconds}`,
    "-pix_fmt",
    "yuv420p",
    path,
  );
}

/** A tone of full loudness from `fromS` to `toS`, silence around it. */
export function makeTone(
  path: string,
  { fromS, toS, seconds, rateHz = 16_000 }: { fromS: number; toS: number; seconds: number; rateHz?: number },
): void {
  const tone = `aevalsrc=if(between(t\\,${fromS}\\,${toS})\\,0.7*sin(880*t)\\,0):s=${rateHz}:d=${seconds}`;
  ffmpeg("-f", "lavfi", "-i", tone, "-c:a", "pcm_s16le", path);
}
