import type { Captured, Source } from "../core/device.ts";

const FRAME_MS = 100;
const [WIDTH, HEIGHT] = [160, 120];
const CHUNK_MS = 50;

/** A picture that never stands still: a bright square that goes up and down, as a person would. */
export function movingPicture(durationMs: number): Source {
  return {
    name: "moving picture",
    kind: "video",
    recorded: true,
    async *open(): AsyncIterable<Captured> {
      for (let captureMs = 0; captureMs < durationMs; captureMs += FRAME_MS) {
        const rgb = new Uint8Array(WIDTH * HEIGHT * 3).fill(60);
        const top = Math.round((HEIGHT / 4) * (1 + Math.sin(captureMs / 400)));
        for (let row = top; row < top + HEIGHT / 3; row++) {
          rgb.fill(200, (row * WIDTH + WIDTH / 3) * 3, (row * WIDTH + (2 * WIDTH) / 3) * 3);
        }
        yield { kind: "frame", captureMs, width: WIDTH, height: HEIGHT, rgb };
      }
    },
  };
}

/** Faint noise: what a microphone hears in a quiet room. The same in every run. */
export function quietRoom(durationMs: number, sampleRateHz: number): Source {
  return {
    name: "quiet room",
    kind: "audio",
    recorded: true,
    async *open(): AsyncIterable<Captured> {
      let state = 1;
      for (let captureMs = 0; captureMs < durationMs; captureMs += CHUNK_MS) {
        const samples = new Float32Array((sampleRateHz * CHUNK_MS) / 1000);
        for (let i = 0; i < samples.length; i++) {
          state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
          samples[i] = (state / 2 ** 31 - 1) * 0.003;
        }
        yield { kind: "audio", captureMs, sampleRateHz, samples };
      }
    },
  };
}
