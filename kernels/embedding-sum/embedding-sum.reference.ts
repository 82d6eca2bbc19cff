import { rmsNormReference } from "../rms-norm/rms-norm.reference.ts";
import { ROW_KIND, type Row } from "../step.ts";
import type { EmbeddingTables } from "./embedding-sum.ts";

export interface EmbeddingInput {
  rows: readonly Row[];
  /** (vocabSize, cols). */
  text: ArrayLike<number>;
  tables: EmbeddingTables;
  /** (frames, nChannels). */
  levels: ArrayLike<number>;
  /** (nTiles, cols). */
  tiles: ArrayLike<number>;
  cols: number;
  nChannels: number;
  nLevels: number;
  eps: number;
}

/** Embeddings of the rows as models/native/README.md defines them, in double precision. Returns (rows, cols). */
export function embeddingSumReference(input: EmbeddingInput): Float64Array {
  const { cols, tables } = input;
  const out = new Float64Array(input.rows.length * cols);
  for (const [r, row] of input.rows.entries()) out.set(embeddingOf(input, row), r * cols);
  return out;

  function embeddingOf(
    { text, tiles, levels, nChannels, nLevels, eps }: EmbeddingInput,
    row: Row,
  ): Float64Array {
    switch (row.kind) {
      case ROW_KIND.told:
        return sum([
          [text, row.index],
          [tables.role, 0],
        ]);
      case ROW_KIND.said:
        return sum([
          [text, row.index],
          [tables.role, 1],
        ]);
      case ROW_KIND.clock:
        return sum(clockDigits(row.index).map((digit) => [tables.clock, digit]));
      case ROW_KIND.video:
        return sum([
          [tiles, row.index],
          [tables.tile, row.index],
        ]);
      default: {
        const channels = Array.from(
          { length: nChannels },
          (_, c) => c * nLevels + levels[row.index * nChannels + c]!,
        );
        return rmsNormReference(sum(channels.map((at) => [tables.audio, at])), tables.audioNorm, eps);
      }
    }
  }

  function sum(parts: readonly [table: ArrayLike<number>, row: number][]): Float64Array {
    return Float64Array.from({ length: cols }, (_, c) =>
      parts.reduce((total, [table, row]) => total + table[row * cols + c]!, 0),
    );
  }
}

/** Rows of the clock table for the end of micro-turn k, from the time written out as digits. */
function clockDigits(k: number): number[] {
  const time = new Date((k + 1) * 200);
  const [hours, minutes, seconds] = time.toISOString().slice(11, 19).split(":") as [string, string, string];
  const tick = time.getUTCMilliseconds() / 200;
  const digit = (text: string, place: number) => Number(text[place]);
  return [
    tick,
    5 + digit(seconds, 1),
    15 + digit(seconds, 0),
    21 + digit(minutes, 1),
    31 + digit(minutes, 0),
    37 + Number(hours),
  ];
}
