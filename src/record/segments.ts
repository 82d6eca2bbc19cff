import { readdir, rm } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";

/** One of the files that a recording is cut into. */
export interface Segment {
  /** 0 for the file that the session began with. */
  number: number;
  path: string;
}

/** "mirror.mcap", "mirror.1.mcap", "mirror.2.mcap": the path that was asked for, then the number before its ending. */
export function segmentPath(path: string, number: number): string {
  if (number === 0) return path;
  const ending = extname(path);
  return `${path.slice(0, path.length - ending.length)}.${number}${ending}`;
}

/** The files there are of the recording that began with `path`, in order. */
export async function segmentsOf(path: string): Promise<Segment[]> {
  const folder = dirname(path);
  const names = new Set(await readdir(folder).catch((): string[] => []));
  const ending = extname(path);
  const stem = basename(path, ending);
  const segments: Segment[] = [];
  for (const name of names) {
    const middle = name.startsWith(`${stem}.`) && name.endsWith(ending) ? name.slice(stem.length + 1) : null;
    const digits = middle === null ? "" : middle.slice(0, middle.length - ending.length);
    if (name === basename(path)) segments.push({ number: 0, path });
    else if (/^[1-9]\d{0,8}$/.test(digits))
      segments.push({ number: Number(digits), path: join(folder, name) });
  }
  return segments.sort((a, b) => a.number - b.number);
}

/** The finished files of a recording in progress: the oldest go when all together would pass the bound. */
export class FinishedSegments {
  readonly #finished: { path: string; sizeBytes: number }[] = [];
  #totalBytes = 0;

  add(path: string, sizeBytes: number): void {
    this.#finished.push({ path, sizeBytes });
    this.#totalBytes += sizeBytes;
  }

  /** Deletes the oldest until at most `limitBytes` are left. */
  async keep(limitBytes: number): Promise<void> {
    while (this.#totalBytes > limitBytes && this.#finished.length > 0) {
      const oldest = this.#finished.shift()!;
      this.#totalBytes -= oldest.sizeBytes;
      await rm(oldest.path, { force: true });
    }
  }
}
