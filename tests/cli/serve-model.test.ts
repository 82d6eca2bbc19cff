import { afterEach, describe, expect, test } from "vitest";
import type { Conversation, ConversationWishes } from "../../models/moshi/conversation.ts";
import { ModelEngine, type ServedModel } from "../../src/cli/serve-model.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import type { MicroTurnInput, OutputPart } from "../../src/core/micro-turn.ts";
import { ModelServer } from "../../src/serve/server.ts";
import { Peer, pcm16 } from "../serve/peer.ts";
import { chirp } from "../serve/sound.ts";

/** A model that repeats each frame at half its level, says a piece of a word and writes down another. */
class HalvingModel implements ServedModel {
  readonly perception;
  readonly description = {
    model: "moshi/test",
    backend: "gpu",
    adapter: "none",
    reason: "a test",
  } as const;
  readonly inputs: Omit<MicroTurnInput, "audio">[] = [];
  /** What each conversation was wished to have. */
  readonly wishes: ConversationWishes[] = [];
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

  /** Has the voice "one" only; else what is wished for. */
  async begin(wishes: ConversationWishes): Promise<Conversation> {
    this.wishes.push(wishes);
    const { textTemperature = 0.7, audioTopK = 250, textSeed = 5, audioSeed = 5, voice, role = "" } = wishes;
    if (voice !== undefined && voice !== "one") {
      throw new RuntimeError("invalid-argument", { part: "voice", problem: `there is no voice '${voice}'` });
    }
    const text = { temperature: textTemperature, topK: 25 };
    const audio = { temperature: 0.8, topK: audioTopK };
    const path = voice === undefined ? null : "/models/secret/voices/one.safetensors";
    return { draws: { text, audio, textSeed, audioSeed }, persona: { voice: path, role } };
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

/** Of a free port on loopback, open to all, closed after the test. */
async function serve(engine: ModelEngine): Promise<ModelServer> {
  server = await ModelServer.open({ address: "127.0.0.1:0", token: null, origins: [], queue: 0, engine });
  return server;
}

describe("a model of sessions behind the server", () => {
  test("is given each frame as a micro-turn, and its sound and words go to the client", async () => {
    const model = new HalvingModel();
    const engine = new ModelEngine(model);
    const { url } = await serve(engine);
    const sent = pcm16(chirp(0.32));
    const peer = await new Peer(url, "?format=pcm_s16le").ready();
    peer.stream(sent, 3840);
    await peer.until(() => peer.text === " heard heard sa heard sa heard sa");
    expect(peer.audio).toHaveLength(3);
    expect(peer.metadata[0]).toMatchObject({ model: "moshi/test" });
    const [heard, said] = [sent.readInt16LE(3840 + 200), peer.audio[0]!.readInt16LE(200)];
    expect(Math.abs(said - heard / 2)).toBeLessThanOrEqual(1);
    expect(model.wishes).toEqual([{}]);
    expect(model.inputs.map(({ index, startMs, durationMs }) => [index, startMs, durationMs])).toEqual([
      [0, 0, 80],
      [1, 80, 80],
      [2, 160, 80],
      [3, 240, 80],
    ]);
    peer.send(3, Uint8Array.of(3));
    peer.stream(sent, 3840);
    await peer.until(() => peer.text.length === 2 * " heard heard sa heard sa heard sa".length);
    // A client that begins again keeps what it asked for.
    expect([model.wishes.length, model.resets]).toEqual([1, 1]);
    expect(model.inputs.map(({ index }) => index)).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
    await engine.close();
    expect(model.closed).toBe(true);
  });

  test("begins each session as its client asks, and tells it what holds", async () => {
    const model = new HalvingModel();
    const { url } = await serve(new ModelEngine(model));
    const told: unknown[] = [];
    for (const query of [
      "?text_temperature=0.3&audio_topk=9&text_seed=1&audio_seed=2&pad_mult=-1&repetition_penalty=1",
      "?seed=4&text_seed=6&voice_prompt=one&text_prompt=You+cook.",
      "?seed=-1",
    ]) {
      const peer = await new Peer(url, query).ready();
      await peer.until(() => peer.metadata.length === 1);
      told.push(peer.metadata[0]!.options);
      peer.socket.close();
      await peer.ended;
    }
    expect(model.wishes).toEqual([
      { textTemperature: 0.3, audioTopK: 9, textSeed: 1, audioSeed: 2, padMultiplier: -1 },
      { textSeed: 6, audioSeed: 4, voice: "one", role: "You cook." },
      {},
    ]);
    const usual = {
      textTemperature: 0.7,
      textTopK: 25,
      audioTemperature: 0.8,
      audioTopK: 250,
      textSeed: 5,
      audioSeed: 5,
      padMultiplier: 0,
    };
    expect(told).toEqual([
      { ...usual, textTemperature: 0.3, audioTopK: 9, textSeed: 1, audioSeed: 2, padMultiplier: -1 },
      { ...usual, textSeed: 6, audioSeed: 4, voicePrompt: "one", textPrompt: "You cook." },
      usual,
    ]);
  });

  test("tells a client why it is refused what the model does not have, and serves the next", async () => {
    const model = new HalvingModel();
    const { url } = await serve(new ModelEngine(model));
    for (const [query, reason] of [
      ["?voice_prompt=two", "voice: there is no voice 'two'"],
      ["?repetition_penalty=1.2", "repetition_penalty: the model that is served draws without one"],
    ] as const) {
      const peer = new Peer(url, query);
      const ending = await peer.ended;
      expect([ending.code, peer.handshake]).toEqual([1008, null]);
      expect(ending.reason).toContain(reason);
      expect(peer.errors[0]).toContain(reason);
    }
    const next = await new Peer(url).ready();
    expect(next.handshake).not.toBeNull();
  });

  test("is none of another micro-turn or rate", () => {
    expect(() => new ModelEngine(new HalvingModel(200, 16_000))).toThrow(
      /200 ms, expected 24000 Hz and 80 ms/,
    );
    expect(() => new ModelEngine(new HalvingModel(80, null))).toThrow(/Moshi family/);
  });
});
