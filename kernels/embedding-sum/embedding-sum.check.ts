import type { KernelCheck } from "../../src/gpu/kernel-check.ts";
import { matrixElements, matrixViews, peakOf } from "../matrix-check.ts";
import { unpackRows } from "../step.ts";
import { embeddingSumReference } from "./embedding-sum.reference.ts";
import type { EmbeddingSumSpec } from "./embedding-sum.ts";

/** How embeddings prepared from `spec` are compared with their reference. */
export function embeddingSumCheck(spec: EmbeddingSumSpec): KernelCheck {
  const { label, text, eps, nChannels, nLevels } = spec;
  const { cols } = text;
  const { tables, first } = spec.tables;
  return {
    label,
    constants: { ...matrixViews(label, text), tables },
    before: { rows: spec.rows, levels: spec.levels, tiles: spec.tiles },
    after: { out: spec.out },
    prepare(constants) {
      const all = constants.f32("tables");
      const part = (start: number, end: number): Float32Array => all.subarray(start * cols, end * cols);
      const plainTables = {
        role: part(0, first.clock),
        clock: part(first.clock, first.tile),
        tile: part(first.tile, first.audio),
        audio: part(first.audio, first.audioNorm),
        audioNorm: part(first.audioNorm, first.audioNorm + 1),
      };
      const words = matrixElements(text, constants);
      return (rows, before, after) => {
        const expected = embeddingSumReference({
          rows: unpackRows(before.u32("rows"), rows),
          text: words,
          tables: plainTables,
          levels: before.u32("levels"),
          tiles: before.f32("tiles"),
          cols,
          nChannels,
          nLevels,
          eps,
        });
        // Sums of up to a term a channel, in f32.
        const absolute = nChannels * 2 ** -24 * Math.max(1, peakOf(expected));
        const limit = (i: number): number => absolute + Math.abs(expected[i]!) * 1e-5;
        return [{ name: "out", actual: after.f32("out"), expected, limit }];
      };
    },
  };
}
