import { afterEach, describe, expect, test } from "vitest";
import { ModelEngine } from "../../src/cli/serve-model.ts";
import type { MicroTurnInput, OutputPart } from "../../src/core/micro-turn.ts";
import type { InteractionModel } from "../../src/core/model.ts";
import { ModelServer } from "../../src/serve/server.ts";
import { Peer, pcm16 } from "../serve/peer.ts";
import { chirp } from "../serve/sound.ts";

/** A model that repeats each frame at half its level, says a piece of a word and writes down another. */
class HalvingModel implements InteractionModel {
  readonly perception;
  readonly description = {
    model: "moshi/test",
    backend: "gpu",
    adapter: "none",
    reason: "a test",
  } as const;
  readonly inputs: Omit<MicroTurnInput, "audio">[] = [];
  resets = 0;
  closed = false;

  constructor(microTurnMs = 80, audioSampleRateHz: number | null = 24_000) {
    this.perception = { microTurnMs, audioSampleRateHz, videoFramesPerMicroTurn: null };
  }

  step(inputs: readonly MicroTurnInput[]): Promise<{ index: number; tokens: number[]; parts: OutputPart[] }> {
    const { audio, ...rest } = inputs[0]!;
    this.inputs.push(rest);
    const samples = audio!.map((sample) => sample / 2);
    const parts: OutputPart[] = [
      { kind: "text", text: "heard", heardMs: 1 },
      { kind: "text", text: " sa" },
      { kind: "sound", samples, sampleRateHz: 24_000 },
    ];
    return Promise.resolve({
      index: rest.index,
      tokens: [],
      parts: rest.index === 0 ? parts.slice(0, 1) : parts,
    });
  }

  reset(): Promise<void> {
    this.resets++;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

let server: ModelServer | null = null;
afterEach(() => server?.close());

describe("a model of sessions behind the server", () => {
  test("is given each frame as a micro-turn, and its sound and words go to the client", async () => {
    const model = new HalvingModel();
    const engine = new ModelEngine(model, { textTemperature: 0.5 });
    server = await ModelServer.open({ address: "127.0.0.1:0", token: null, origins: [], queue: 0, engine });
    const sent = pcm16(chirp(0.32));
    const peer = await new Peer(server.url, "?format=pcm_s16le&text_temperature=0.9").ready();
    peer.stream(sent, 3840);
    await peer.until(() => peer.text === " heard heard sa heard sa heard sa");
    expect(peer.audio).toHaveLength(3);
    expect(peer.metadata[0]).toMatchObject({ model: "moshi/test", options: { textTemperature: 0.5 } });
    const [heard, said] = [sent.readInt16LE(3840 + 200), peer.audio[0]!.readInt16LE(200)];
    expect(Math.abs(said - heard / 2)).toBeLessThanOrEqual(1);
    expect(model.resets).toBe(1);
    expect(model.inputs.map(({ index, startMs, durationMs }) => [index, startMs, durationMs])).toEqual([
      [0, 0, 80],
      [1, 80, 80],
      [2, 160, 80],
      [3, 240, 80],
    ]);
    peer.send(3, Uint8Array.of(3));
    peer.stream(sent, 3840);
    await peer.until(() => peer.text.length === 2 * " heard heard sa heard sa heard sa".length);
    expect(model.resets).toBe(2);
    expect(model.inputs.map(({ index }) => index)).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
    await engine.close();
    expect(model.closed).toBe(true);
  });

  test("refuses another voice or role than its own, and models of another micro-turn", async () => {
    const engine = new ModelEngine(new HalvingModel(), { voicePrompt: "NATF0.pt", textPrompt: "A cook." });
    for (const options of [{ voicePrompt: "NATM1.pt" }, { textPrompt: "A poet." }]) {
      await expect(engine.open(options)).rejects.toMatchObject({ code: "invalid-argument" });
    }
    await expect(
      engine.open({ voicePrompt: "NATF0.safetensors", textPrompt: "A cook." }),
    ).resolves.toBeDefined();
    expect(() => new ModelEngine(new HalvingModel(200, 16_000), {})).toThrow(
      /200 ms, expected 24000 Hz and 80 ms/,
    );
    expect(() => new ModelEngine(new HalvingModel(80, null), {})).toThrow(/Moshi family/);
  });
});
