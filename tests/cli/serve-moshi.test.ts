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

describeOnGpu("a tiny Moshi that is served", () => {
  test("answers every frame with sound, and begins every session from the seed", async () => {
    const directory = await mkdtemp(join(tmpdir(), "moshi-"));
    try {
      await writeTinyCheckpoint(directory);
      const sessions: Buffer[] = [];
      const args = ["--model", `moshi:${directory}`, "--seed", "3", "--json"];
      const { io, status } = await serving(args, async (url) => {
        for (const query of ["?format=pcm_s16le", "?format=pcm_s16le&text_temperature=0.3"]) {
          const peer = await new Peer(url, query).ready();
          peer.stream(pcm16(chirp(FRAMES * 0.08)), 3840);
          // Until the delays of its streams are filled it has nothing to say.
          await peer.until(() => peer.audio.length >= FRAMES - 1);
          expect(peer.metadata[0]).toMatchObject({ format: "pcm_s16le", options: { seed: 3 } });
          peer.socket.close();
          await peer.ended;
          sessions.push(Buffer.concat(peer.audio).subarray(0, (FRAMES - 1) * 3840));
          const refused = await new Peer(url, "?voice_prompt=NATF0.pt").ended;
          expect(refused.reason).toContain("voice_prompt: the model that is served has the voice 'none'");
        }
      });
      expect(status).toBe(0);
      expect(sessions[0]).toHaveLength((FRAMES - 1) * 3840);
      expect(new Set(sessions[0]).size).toBeGreaterThan(50);
      expect(sessions[1]!.equals(sessions[0]!)).toBe(true);
      expect(io.jsonLines().filter(({ kind, steps }) => kind === "ended" && steps === FRAMES)).toHaveLength(
        2,
      );
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
