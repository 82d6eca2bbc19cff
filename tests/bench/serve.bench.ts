import { performance } from "node:perf_hooks";
import { bench, describe } from "vitest";
import { percentile } from "../../src/observe/percentile.ts";
import { FakeEngine } from "../../src/serve/fake-engine.ts";
import { FrameQueue } from "../../src/serve/frames.ts";
import { OggOpusDecoder } from "../../src/serve/ogg-opus-decoder.ts";
import { OggOpusEncoder } from "../../src/serve/ogg-opus-encoder.ts";
import { ModelServer } from "../../src/serve/server.ts";
import { decoded, oggOpusOf } from "../serve/ffmpeg.ts";
import { Peer } from "../serve/peer.ts";
import { chirp, likeness } from "../serve/sound.ts";

const SECONDS = 20;
const FRAMES = (SECONDS * 1000) / 80;

function told(name: string, times: number[]): void {
  const sorted = times.slice(Math.floor(FRAMES / 10)).sort((a, b) => a - b);
  const [median, p95] = [percentile(sorted, 0.5), percentile(sorted, 0.95)];
  console.log(
    `${name}: median ${median.toFixed(2)} ms, p95 ${p95.toFixed(2)} ms (${sorted.length} frames of 80 ms)`,
  );
}

describe("the server's own work", () => {
  bench(
    "a frame of Opus in and out",
    async () => {
      const sound = chirp(SECONDS);
      const stream = oggOpusOf(sound);
      const queue = new FrameQueue(new OggOpusDecoder());
      const encoder = await OggOpusEncoder.create();
      const { signal } = new AbortController();
      const [inMs, outMs, out]: [number[], number[], Buffer[]] = [[], [], []];
      queue.push(stream);
      for (let begin = performance.now(); ; begin = performance.now()) {
        const frame = await queue.next(signal);
        if (frame === null) break;
        const between = performance.now();
        out.push(encoder.encode(frame));
        inMs.push(between - begin);
        outMs.push(performance.now() - between);
      }
      const { correlation } = likeness(sound, decoded(Buffer.concat(out)), 4);
      if (!(correlation > 0.95)) throw new Error(`what came out is not what went in: ${correlation}`);
      told("Ogg-Opus decoded", inMs);
      told("Ogg-Opus encoded", outMs);
    },
    { iterations: 1, time: 0, warmupIterations: 0, warmupTime: 0 },
  );

  bench(
    "a frame there and back over loopback, by a model that answers at once",
    async () => {
      const options = { address: "127.0.0.1:0", token: null, origins: [], queue: 0 };
      const server = await ModelServer.open({ ...options, engine: new FakeEngine() });
      const peer = await new Peer(server.url, "?format=pcm_s16le").ready();
      const times: number[] = [];
      // The fake answers with the frame before.
      peer.send(1, new Uint8Array(3840));
      for (let frame = 0; frame < FRAMES; frame++) {
        const begin = performance.now();
        peer.send(1, new Uint8Array(3840));
        await peer.until(() => peer.audio.length > frame);
        times.push(performance.now() - begin);
      }
      if (peer.heardBytes !== FRAMES * 3840) throw new Error("sound was lost");
      told("there and back", times);
      peer.socket.terminate();
      await server.close();
    },
    { iterations: 1, time: 0, warmupIterations: 0, warmupTime: 0 },
  );
});
