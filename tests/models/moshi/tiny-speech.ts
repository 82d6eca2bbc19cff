import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gaussian } from "../../kernels/harness.ts";
import { safetensorsFile, storeF32 } from "../native/safetensors-file.ts";
import { SMALL } from "./gpu/random-checkpoint.ts";
import { writeTinyCheckpoint } from "./tiny-checkpoint.ts";

const VOICE = { dim: 7, frames: 6 };
const LUT_DIM = 5;
const CFG = ["1.0", "1.5", "2.0", "2.5"];

/** Kyutai's text to speech in small: sound 4 steps behind text, acoustic codebooks 2 more, and a text stream that looks ahead. */
export const TINY_SPEECH = {
  ...SMALL,
  model_type: "tts",
  n_q: 4,
  dep_q: 4,
  delays: [0, 0, 2, 2, 2],
  // As many as the tiny tokenizer has pieces.
  text_card: 320,
  context: 20,
  demux_second_stream: true,
  cross_attention: true,
  depformer_low_rank_embeddings: 12,
  tts_config: { audio_delay: 0.32, second_stream_ahead: 2 },
  conditioners: {
    speaker_wavs: { type: "tensor", tensor: { dim: VOICE.dim } },
    cfg: { type: "lut", lut: { n_bins: CFG.length, dim: LUT_DIM, possible_values: CFG } },
    control: { type: "lut", lut: { n_bins: 1, dim: LUT_DIM, possible_values: ["ok"] } },
  },
  fuser: { sum: ["control", "cfg"], cross: ["speaker_wavs"], cross_attention_pos_emb: true },
};

/** Name of the voice that `writeTinySpeech` writes, as such are published. */
export const TINY_VOICE = "folk/ann.wav";

/** Writes a checkpoint of random weights, with a voice in its folder `voices`. */
export async function writeTinySpeech(directory: string): Promise<void> {
  const { dim } = TINY_SPEECH;
  const random = (seed: number, shape: number[]) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return storeF32(shape, gaussian(seed, length, 0.4));
  };
  const conditioner = (name: string) => `condition_provider.conditioners.${name}`;
  await writeTinyCheckpoint(
    directory,
    TINY_SPEECH,
    new Map([
      [`${conditioner("speaker_wavs")}.output_proj.weight`, random(501, [dim, VOICE.dim])],
      [`${conditioner("speaker_wavs")}.learnt_padding`, random(502, [1, 1, dim])],
      [`${conditioner("cfg")}.embed.weight`, random(503, [CFG.length + 1, LUT_DIM])],
      [`${conditioner("cfg")}.output_proj.weight`, random(504, [dim, LUT_DIM])],
      [`${conditioner("cfg")}.learnt_padding`, random(505, [1, 1, dim])],
      [`${conditioner("control")}.embed.weight`, random(506, [2, LUT_DIM])],
      [`${conditioner("control")}.output_proj.weight`, random(507, [dim, LUT_DIM])],
      [`${conditioner("control")}.learnt_padding`, random(508, [1, 1, dim])],
    ]),
  );
  await writeTinyVoice(join(directory, "voices", `${TINY_VOICE}.1234abcd@5.safetensors`), 509);
}

/** Writes a voice file. */
export async function writeTinyVoice(path: string, seed: number): Promise<void> {
  const shape = [1, VOICE.dim, VOICE.frames];
  const values = gaussian(seed, VOICE.dim * VOICE.frames, 1);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, safetensorsFile(new Map([["speaker_wavs", storeF32(shape, values)]])));
}
