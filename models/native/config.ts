import { z } from "zod";
import { checked, failFor, jsonOf } from "../tensors/json.ts";

/** Slots of one micro-turn: position = SLOTS_PER_TURN · k + slot. README "The sequence". */
export const SLOTS_PER_TURN = 64;
export const AUDIO_SLOT = 0;
export const VIDEO_SLOT = 4;
export const TOLD_SLOT = 16;
export const CLOCK_SLOT = 40;
export const SAID_SLOT = 41;

/** Rows of `embed.clock`: tick, second, ten seconds, minute, ten minutes, hour. */
export const CLOCK_ROWS = 61;

const count = (max: number) => z.int().min(1).max(max);

const schema = z.strictObject({
  format: z.literal("microturn-native-1"),
  name: z.string().min(1).max(100),
  microTurnMs: z.literal(200),
  dim: count(8192),
  nLayers: count(128),
  nHeads: count(128),
  nKvHeads: count(128),
  headDim: count(256),
  ffDim: count(65536),
  vocabSize: count(262144),
  normEps: z.number().positive().max(1),
  rotaryLog2: z.array(z.int().min(0).max(26)),
  audio: z.strictObject({
    sampleRateHz: z.literal(16000),
    hop: z.literal(800),
    window: z.literal(1600),
    nMels: z.literal(80),
    nLevels: z.literal(16),
    minLog10: z.literal(-7),
    maxLog10: z.literal(2),
  }),
  video: z.strictObject({
    width: count(4096),
    height: count(4096),
    tile: count(256),
    framesPerMicroTurn: z.literal(2),
    /** Of the hMLP's norms. Large, so that a patch in which nothing moves stays small beside one in which something does. */
    normEps: z.number().positive().max(1),
    folds: z
      .array(z.strictObject({ t: count(2), h: count(256), out: count(8192) }))
      .min(1)
      .max(16),
  }),
  memory: z.strictObject({
    perceptionTurns: count(10000),
    toldTokens: count(65536),
    saidTokens: count(65536),
  }),
  limits: z.strictObject({
    textTokensPerMicroTurn: count(CLOCK_SLOT - TOLD_SLOT),
    outputTokensPerMicroTurn: count(SLOTS_PER_TURN - SAID_SLOT),
  }),
  tokens: z.strictObject({
    pad: z.literal(0),
    next: z.literal(1),
    yield: z.literal(2),
    typed: z.literal(3),
    /** Absent: the checkpoint cannot delegate. */
    delegate: z.int().min(4).optional(),
  }),
});

/** A checkpoint's `config.json`: the sizes of one native model. All lengths are in tokens, pixels or features. */
export type NativeConfig = z.infer<typeof schema>;

/**
 * Parses a checkpoint's configuration.
 *
 * @param json   The text of `config.json`.
 * @param source For messages: the file's path.
 * @throws RuntimeError "invalid-checkpoint" naming the field and what was expected.
 */
export function parseNativeConfig(json: string, source: string): NativeConfig {
  const fail = failFor("checkpoint", source);
  const config = checked(schema, jsonOf(json, fail), fail);
  const inconsistency = findInconsistency(config);
  if (inconsistency) return fail(inconsistency);
  return config;
}

/** The first rule between fields that `config` breaks, or null. */
function findInconsistency(config: NativeConfig): string | null {
  const { video, memory, limits } = config;
  if (config.headDim % 2 !== 0) return `headDim is ${config.headDim}, expected an even number`;
  if (config.nHeads % config.nKvHeads !== 0) {
    return `nHeads ${config.nHeads} is no multiple of nKvHeads ${config.nKvHeads}`;
  }
  if (config.rotaryLog2.length !== config.headDim / 2) {
    return `rotaryLog2 holds ${config.rotaryLog2.length} entries, expected headDim / 2 = ${config.headDim / 2}`;
  }
  if (config.vocabSize <= config.tokens.typed)
    return `vocabSize ${config.vocabSize} leaves no room for words`;
  if (video.width % video.tile !== 0 || video.height % video.tile !== 0) {
    return `video ${video.width}x${video.height} is no multiple of the tile, ${video.tile}`;
  }
  const tiles = tileCount(config);
  if (tiles > TOLD_SLOT - VIDEO_SLOT) {
    return `video makes ${tiles} tiles, expected at most ${TOLD_SLOT - VIDEO_SLOT}`;
  }
  const foldedSide = video.folds.reduce((side, fold) => side * fold.h, 1);
  const foldedFrames = video.folds.reduce((frames, fold) => frames * fold.t, 1);
  if (foldedSide !== video.tile)
    return `video.folds fold ${foldedSide} pixels, expected the tile's ${video.tile}`;
  if (foldedFrames !== 2) return `video.folds fold ${foldedFrames} frames, expected 2`;
  const width = video.folds.at(-1)!.out;
  if (width !== config.dim) return `video.folds end in ${width} features, expected dim = ${config.dim}`;
  // The told tokens of one block are written together and must not replace each other.
  if (memory.toldTokens < limits.textTokensPerMicroTurn) return "memory.toldTokens is below the text limit";
  return null;
}

/** Video tokens of one micro-turn. */
export function tileCount(config: NativeConfig): number {
  const { width, height, tile } = config.video;
  return (width / tile) * (height / tile);
}

/** Audio tokens of one micro-turn: one per hop. */
export function audioTokenCount(config: NativeConfig): number {
  return (config.audio.sampleRateHz * config.microTurnMs) / 1000 / config.audio.hop;
}

/** Samples of an input block: the window's history, then the interval. (4000 at 16 kHz) */
export function pcmLength(config: NativeConfig): number {
  const { window, hop, sampleRateHz } = config.audio;
  return window - hop + (sampleRateHz * config.microTurnMs) / 1000;
}

/** Elements of an input block's video: (2, height, width, 3). */
export function videoLength(config: NativeConfig): number {
  return 2 * config.video.height * config.video.width * 3;
}
