import type { Speech } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";

/** Bytes of the head that `wavHead` writes. */
export const WAV_HEAD_BYTES = 44;

/** RIFF counts bytes in 32 bits. */
export const MAX_WAV_DATA_BYTES = 2 ** 32 - 1 - WAV_HEAD_BYTES;

/** The head of a mono 16-bit PCM file with `dataBytes` of samples after it. */
export function wavHead(sampleRateHz: number, dataBytes: number): Buffer {
  const head = Buffer.alloc(WAV_HEAD_BYTES);
  head.write("RIFF", 0, "latin1");
  head.writeUInt32LE(WAV_HEAD_BYTES - 8 + dataBytes, 4);
  head.write("WAVEfmt ", 8, "latin1");
  head.writeUInt32LE(16, 16); // bytes of the format that follow
  head.writeUInt16LE(1, 20); // PCM
  head.writeUInt16LE(1, 22); // channels
  head.writeUInt32LE(sampleRateHz, 24);
  head.writeUInt32LE(2 * sampleRateHz, 28); // bytes a second
  head.writeUInt16LE(2, 32); // bytes a sample of all channels
  head.writeUInt16LE(16, 34); // bits a sample
  head.write("data", 36, "latin1");
  head.writeUInt32LE(dataBytes, 40);
  return head;
}

/** f32 samples as 16-bit PCM, clipped to full scale. */
export function toPcm16(samples: Float32Array): Buffer {
  const pcm = Buffer.alloc(2 * samples.length);
  for (let i = 0; i < samples.length; i++) {
    pcm.writeInt16LE(Math.round(Math.max(-1, Math.min(1, samples[i]!)) * 32767), 2 * i);
  }
  return pcm;
}

/**
 * Reads a mono 16-bit PCM file, as text-to-speech programs write it. One that streams to a pipe cannot know its
 * length and announces too much: the samples that are there count.
 *
 * @param part names the asker in messages.
 * @throws RuntimeError "invalid-media" if the bytes are anything else.
 */
export function readWav(part: string, bytes: Buffer): Speech {
  const isRiff = bytes.toString("latin1", 0, 4) === "RIFF" && bytes.toString("latin1", 8, 12) === "WAVE";
  if (!isRiff) throw notWav(part, `${bytes.length} bytes that do not begin with RIFF WAVE`);
  let sampleRateHz = 0;
  // Chunks: a name of 4 letters, a length of 4 bytes, the content, padded to an even length.
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = bytes.toString("latin1", at, at + 4);
    const length = bytes.readUInt32LE(at + 4);
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (name === "fmt ") {
      if (content.length < 16) throw notWav(part, "a format chunk cut short");
      const [format, channels] = [content.readUInt16LE(0), content.readUInt16LE(2)];
      const bits = content.readUInt16LE(14);
      if (format !== 1 || channels !== 1 || bits !== 16) {
        throw notWav(part, `WAV format ${format} with ${channels} channels of ${bits} bits`);
      }
      sampleRateHz = content.readUInt32LE(4);
    }
    if (name === "data") {
      if (sampleRateHz === 0) throw notWav(part, "samples without a rate");
      return { sampleRateHz, samples: fromPcm16(content) };
    }
    at += 8 + length + (length % 2);
  }
  throw notWav(part, "a WAV file without samples");
}

function fromPcm16(pcm: Buffer): Float32Array {
  const samples = new Float32Array(Math.floor(pcm.length / 2));
  for (let i = 0; i < samples.length; i++) samples[i] = pcm.readInt16LE(2 * i) / 32768;
  return samples;
}

function notWav(part: string, received: string): RuntimeError {
  return new RuntimeError("invalid-media", {
    part,
    problem: `expected a mono 16-bit WAV, received ${received}`,
  });
}
