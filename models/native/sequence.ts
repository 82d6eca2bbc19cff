import { RuntimeError } from "../../src/core/errors.ts";
import type { InputBlock } from "./backend.ts";
import {
  AUDIO_SLOT,
  audioTokenCount,
  CLOCK_SLOT,
  type NativeConfig,
  pcmLength,
  SAID_SLOT,
  SLOTS_PER_TURN,
  TOLD_SLOT,
  tileCount,
  VIDEO_SLOT,
  videoLength,
} from "./config.ts";

/**
 * The KV cache: three regions in this order. Perception holds `perceptionTurns` rows of one micro-turn's audio, tiles
 * and clock; told and said are rings of single tokens. README "Memory".
 */
export interface CacheLayout {
  /** Cache slots of one micro-turn in the perception region. */
  turnStride: number;
  perceptionTurns: number;
  toldStart: number;
  toldTokens: number;
  saidStart: number;
  saidTokens: number;
  /** Slots in all. */
  capacity: number;
}

/** Written to a slot's position while the slot is empty. */
export const EMPTY_SLOT = -1;

export function cacheLayout(config: NativeConfig): CacheLayout {
  const { perceptionTurns, toldTokens, saidTokens } = config.memory;
  const turnStride = audioTokenCount(config) + tileCount(config) + 1;
  const toldStart = perceptionTurns * turnStride;
  const saidStart = toldStart + toldTokens;
  return {
    turnStride,
    perceptionTurns,
    toldStart,
    toldTokens,
    saidStart,
    saidTokens,
    capacity: saidStart + saidTokens,
  };
}

/** One token on its way into the network. */
export interface PlannedToken {
  kind: "audio" | "video" | "told" | "clock" | "said";
  /** Audio: dMel frame of the interval; video: tile; told and said: token id; clock: 0. */
  value: number;
  /** 64·k + slot. */
  position: number;
  /** Where its keys and values go. */
  cacheSlot: number;
}

/** Told and said tokens since the last reset: what a backend must remember between steps beside the cache itself. */
export interface TokenCounts {
  told: number;
  said: number;
}

/**
 * The tokens of one input block in order of position, the clock last. All of them are written to the cache before any
 * of them attends, so that a told token replaced here is gone for the whole block.
 *
 * @param counts Before the block; the caller adds `block.told.length` to `told` afterwards.
 */
export function planInput(config: NativeConfig, counts: TokenCounts, block: InputBlock): PlannedToken[] {
  const layout = cacheLayout(config);
  const nAudio = audioTokenCount(config);
  const nTiles = tileCount(config);
  const start = SLOTS_PER_TURN * block.turn;
  const row = (block.turn % layout.perceptionTurns) * layout.turnStride;
  const tokens: PlannedToken[] = [];
  if (block.pcm) {
    for (let i = 0; i < nAudio; i++) {
      tokens.push({ kind: "audio", value: i, position: start + AUDIO_SLOT + i, cacheSlot: row + i });
    }
  }
  if (block.video) {
    for (let i = 0; i < nTiles; i++) {
      tokens.push({ kind: "video", value: i, position: start + VIDEO_SLOT + i, cacheSlot: row + nAudio + i });
    }
  }
  for (const [i, id] of block.told.entries()) {
    const cacheSlot = layout.toldStart + ((counts.told + i) % layout.toldTokens);
    tokens.push({ kind: "told", value: id, position: start + TOLD_SLOT + i, cacheSlot });
  }
  tokens.push({ kind: "clock", value: 0, position: start + CLOCK_SLOT, cacheSlot: row + nAudio + nTiles });
  return tokens;
}

/**
 * One output token that is fed back. It replaces the oldest said token for itself and for what follows.
 *
 * @param index  Its place in the output block, from 0.
 * @param counts Before this token; the caller adds 1 to `said` afterwards.
 */
export function planSaid(
  config: NativeConfig,
  counts: TokenCounts,
  turn: number,
  index: number,
  id: number,
): PlannedToken {
  const layout = cacheLayout(config);
  return {
    kind: "said",
    value: id,
    position: SLOTS_PER_TURN * turn + SAID_SLOT + index,
    cacheSlot: layout.saidStart + (counts.said % layout.saidTokens),
  };
}

/**
 * Whether a token sees what a cache slot holds. The rings of told and said tokens hold only what is still remembered;
 * perception also fades by age.
 *
 * @param slotPosition Position of the token in the slot, or EMPTY_SLOT.
 */
export function isVisible(
  layout: CacheLayout,
  cacheSlot: number,
  slotPosition: number,
  queryPosition: number,
): boolean {
  if (slotPosition === EMPTY_SLOT || slotPosition > queryPosition) return false;
  if (cacheSlot >= layout.toldStart) return true;
  const age = Math.floor(queryPosition / SLOTS_PER_TURN) - Math.floor(slotPosition / SLOTS_PER_TURN);
  return age < layout.perceptionTurns;
}

/** The six rows of `embed.clock` that a clock token sums: the session time at the end of micro-turn `turn`. */
export function clockRows(turn: number): number[] {
  const ticks = turn + 1;
  const seconds = Math.floor(ticks / 5);
  const second = seconds % 60;
  const minute = Math.floor(seconds / 60) % 60;
  const hour = Math.floor(seconds / 3600) % 24;
  return [
    ticks % 5,
    5 + (second % 10),
    15 + Math.floor(second / 10),
    21 + (minute % 10),
    31 + Math.floor(minute / 10),
    37 + hour,
  ];
}

/**
 * Cosine and sine of a position's rotary angles.
 *
 * @param out (headDim) f32, written: headDim/2 cosines, then headDim/2 sines.
 */
export function rotaryAngles(config: NativeConfig, position: number, out: Float32Array): void {
  const half = config.headDim / 2;
  for (const [i, log2] of config.rotaryLog2.entries()) {
    const period = 2 ** log2;
    const angle = (2 * Math.PI * (position % period)) / period;
    out[i] = Math.cos(angle);
    out[half + i] = Math.sin(angle);
  }
}

/** Throws "shape-mismatch" or "invalid-argument", naming the field, unless `block` is one that the model can take. */
export function checkBlock(config: NativeConfig, block: InputBlock): void {
  const fail = (code: "shape-mismatch" | "invalid-argument", problem: string): never => {
    throw new RuntimeError(code, { part: "native model", problem });
  };
  if (!Number.isInteger(block.turn) || block.turn < 0) fail("invalid-argument", `turn is ${block.turn}`);
  if (block.pcm && block.pcm.length !== pcmLength(config)) {
    fail("shape-mismatch", `pcm holds ${block.pcm.length} samples, expected ${pcmLength(config)}`);
  }
  if (block.video && block.video.length !== videoLength(config)) {
    fail("shape-mismatch", `video holds ${block.video.length} features, expected ${videoLength(config)}`);
  }
  const limit = config.limits.textTokensPerMicroTurn;
  if (block.told.length > limit) {
    fail("shape-mismatch", `told holds ${block.told.length} tokens, expected at most ${limit}`);
  }
  for (const id of block.told) {
    if (!Number.isInteger(id) || id < 0 || id >= config.vocabSize) {
      fail("invalid-argument", `told token ${id} is not in the vocabulary of ${config.vocabSize}`);
    }
  }
}
