import type { InputBlock } from "../../../models/native/backend.ts";
import { type NativeConfig, pcmLength, videoLength } from "../../../models/native/config.ts";
import { seededUniform } from "./random-checkpoint.ts";

const HISTORY = 800;

export interface ScenarioOptions {
  turns: number;
  seed: number;
  /** k of the first block. Default 0. */
  firstTurn?: number;
  hears?: boolean;
  sees?: boolean;
}

/**
 * Random input of a session: loud and silent intervals, intervals without a picture, and typed text that comes in
 * bursts. Sound is one stretch: each block's history is the end of the one before.
 */
export function randomBlocks(config: NativeConfig, options: ScenarioOptions): InputBlock[] {
  const { turns, seed, firstTurn = 0, hears = true, sees = true } = options;
  const uniform = seededUniform(seed);
  const interval = pcmLength(config) - HISTORY;
  const sound = new Float32Array(HISTORY + turns * interval);
  const blocks: InputBlock[] = [];
  for (let i = 0; i < turns; i++) {
    const start = HISTORY + i * interval;
    const loudness = i % 4 === 3 ? 0 : 10 ** (2 * uniform() - 2);
    for (let s = start; s < start + interval; s++) sound[s] = loudness * uniform();
    const pictured = sees && i % 3 !== 1;
    const video = Int8Array.from({ length: pictured ? videoLength(config) : 0 }, () => 127 * uniform());
    const nTold = uniform() > 0 ? Math.round(config.limits.textTokensPerMicroTurn * Math.abs(uniform())) : 0;
    const told = Array.from({ length: nTold }, () => Math.floor(((uniform() + 1) / 2) * config.vocabSize));
    blocks.push({
      turn: firstTurn + i,
      pcm: hears ? sound.subarray(start - HISTORY, start + interval) : null,
      video: pictured ? video : null,
      told,
    });
  }
  return blocks;
}
