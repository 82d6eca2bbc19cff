import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { describeOnGpu } from "../kernels/harness.ts";
import { writeTinyCheckpoint } from "../models/moshi/tiny-checkpoint.ts";
import { Peer, pcm16 } from "../serve/peer.ts";
import { chirp } from "../serve/sound.ts";
import { serving } from "./serving.ts";

/** Pipelines are compiled here: minutes, on a software adapter that has other things to do. */
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const FRAMES = 6;
/** What is asked for by one client after the other. */
const QUERIES = ["", "", "&text_temperature=0&audio_temperature=0", "&audio_seed=9", ""];

describeOnGpu("a tiny Moshi that is served", () => {
  test("answers every frame with sound, and draws as each client asks, from the seed for one that does not", async () => {
    const directory = await mkdtemp(join(tmpdir(), "moshi-"));
    try {
      await writeTinyCheckpoint(directory);
      const sessions: Buffer[] = [];
      const options: unknown[] = [];
      const args = ["--model", `moshi:${directory}`, "--seed", "3", "--json"];
      const { io, status } = await serving(args, async (url) => {
        for (const query of QUERIES) {
          const peer = await new Peer(url, `?format=pcm_s16le${query}`).ready();
          peer.stream(pcm16(chirp(FRAMES * 0.08)), 3840);
          // Until the delays of its streams are filled it has nothing to say.
          await peer.until(() => peer.audio.length >= FRAMES - 1);
          options.push(peer.metadata[0]!.options);
          peer.socket.close();
          await peer.ended;
          sessions.push(Buffer.concat(peer.audio).subarray(0, (FRAMES - 1) * 3840));
        }
        const refused = await new Peer(url, "?voice_prompt=NATF0.pt").ended;
        expect(refused).toMatchObject({ code: 1008 });
        expect(refused.reason).toContain("voice: a checkpoint of kind moshi takes no voice or role");
      });
      expect(status).toBe(0);
      expect(sessions[0]).toHaveLength((FRAMES - 1) * 3840);
      expect(new Set(sessions[0]).size).toBeGreaterThan(50);
      // What one client asked for is not there for the next.
      expect(sessions[1]!.equals(sessions[0]!)).toBe(true);
      expect(options[1]).toEqual(options[0]);
      expect(options[0]).toMatchObject({ textTemperature: 0.7, audioTopK: 250, textSeed: 3, audioSeed: 3 });
      expect(options[2]).toMatchObject({ audioTemperature: 0, audioSeed: 3 });
      for (const own of [sessions[2]!, sessions[3]!]) expect(own.equals(sessions[0]!)).toBe(false);
      expect(sessions[2]!.equals(sessions[3]!)).toBe(false);
      expect(sessions[4]!.equals(sessions[0]!)).toBe(true);
      const ended = io.jsonLines().filter(({ kind, steps }) => kind === "ended" && steps === FRAMES);
      expect(ended).toHaveLength(QUERIES.length);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
