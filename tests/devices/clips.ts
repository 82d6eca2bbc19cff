import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VirtualClock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";

/** A folder of its own for the files of one test file. */
export const folder = mkdtempSync(join(tmpdir(), "microturn-devices-"));

/** Makes a media file with ffmpeg; `args` come before its path. */
export function clip(name: string, ...args: string[]): string {
  const path = join(folder, name);
  execFileSync("ffmpeg", ["-nostdin", "-v", "error", "-y", "-threads", "1", ...args, path]);
  return path;
}

/** `-f lavfi -i` of a source filter. */
export function lavfi(filter: string): string[] {
  return ["-f", "lavfi", "-i", filter];
}

/** The first `share` of a file, under another name. */
export function cutOff(path: string, share: number): string {
  const bytes = readFileSync(path);
  const cutPath = path.replace(/(\.\w+)$/, "-cut$1");
  writeFileSync(cutPath, bytes.subarray(0, Math.floor(bytes.length * share)));
  return cutPath;
}

/** Frame times of a file's pictures in ms, as ffprobe reads them from the container. */
export function probedTimesMs(path: string): number[] {
  const show = ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time"];
  const answer = execFileSync("ffprobe", [...show, "-of", "csv=p=0", path], { encoding: "utf8" });
  return answer.split("\n").flatMap((line) => (line.trim() === "" ? [] : [Number.parseFloat(line) * 1000]));
}

/** Everything that a source gives. `onItem` may look at each item, and is waited for. */
export async function drain(
  source: Source,
  onItem: (item: Captured, count: number) => Promise<void> | void = () => {},
): Promise<Captured[]> {
  const items: Captured[] = [];
  for await (const item of source.open(new VirtualClock(), new AbortController().signal)) {
    items.push(item);
    await onItem(item, items.length);
  }
  return items;
}
