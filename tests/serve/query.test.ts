import { afterEach, describe, expect, test } from "vitest";
import { RuntimeError } from "../../src/core/errors.ts";
import { parseChatRequest } from "../../src/serve/query.ts";
import { ModelServer } from "../../src/serve/server.ts";
import { Peer } from "./peer.ts";
import { seeded } from "./random.ts";
import { ScriptedEngine } from "./scripted-engine.ts";

const parsed = (query: string) => parseChatRequest(new URLSearchParams(query));

describe("the query of a request", () => {
  test("without parameters asks for nothing", () => {
    expect(parsed("")).toEqual({ format: "opus", maxSteps: null, options: {} });
  });

  test("as the published web client sends it", () => {
    const query =
      "worker_auth_id=x&email=a%40b.c&text_temperature=0.7&text_topk=25&audio_temperature=0.8&audio_topk=250&pad_mult=0" +
      "&text_seed=123456&audio_seed=654321&repetition_penalty_context=64&repetition_penalty=1";
    expect(parsed(query).options).toEqual({
      textTemperature: 0.7,
      textTopK: 25,
      audioTemperature: 0.8,
      audioTopK: 250,
      textSeed: 123_456,
      audioSeed: 654_321,
    });
  });

  test("as PersonaPlex's client sends it", () => {
    const { options } = parsed("voice_prompt=NATF0.pt&text_prompt=+You+are+w%C3%B6rdy.+&seed=-1");
    expect(options).toEqual({ voicePrompt: "NATF0.pt", textPrompt: "You are wördy." });
    expect(parsed("voice_prompt=&text_prompt=&seed=5").options).toEqual({ seed: 5 });
  });

  test("greedy, and as close to it as a number may be", () => {
    expect(parsed("text_temperature=0&audio_temperature=0.001").options).toEqual({
      textTemperature: 0,
      audioTemperature: 0.001,
    });
  });

  test("with all that changes something", () => {
    expect(
      parsed(
        "format=pcm_s16le&max_steps=9&pad_mult=-1.5&repetition_penalty=1.2&repetition_penalty_context=32",
      ),
    ).toEqual({
      format: "pcm_s16le",
      maxSteps: 9,
      options: { padMultiplier: -1.5, repetitionPenalty: 1.2, repetitionPenaltyContext: 32 },
    });
  });

  test.each([
    "format=mp3",
    "text_temperature=-0.1",
    "text_temperature=11",
    "text_temperature=NaN",
    "text_temperature=1e-9",
    "audio_temperature=0.0009",
    "audio_temperature=-0.5",
    "audio_temperature=0.8,0.9",
    "audio_temperature=%00",
    "text_topk=1e7",
    "audio_topk=250;drop",
    "text_seed=-1",
    "seed=0x10",
    "max_steps=1.5",
    "audio_temperature=0x1",
    "audio_temperature=Infinity",
    "audio_temperature=1e999",
    "text_topk=2.5",
    "audio_topk=-1",
    "text_seed=9007199254740993",
    "audio_seed=one",
    "seed=-2",
    "max_steps=0",
    "pad_mult=21",
    "repetition_penalty=0.5",
    "repetition_penalty_context=-1",
    "text_topk=1&text_topk=2",
    "voice_prompt=../../etc/passwd",
    "voice_prompt=%2Fetc%2Fpasswd",
    "voice_prompt=..",
    "voice_prompt=.hidden",
    "voice_prompt=..%5CNATF0",
    "voice_prompt=voices%2FNATF0",
    "voice_prompt=NATF0%0a",
    "voice_prompt=..%EF%BC%8Fsecret",
    "voice_prompt=C%3A",
    "voice_prompt=~root",
    "voice_prompt=NATF0.pt&voice_prompt=..",
    "voice_prompt=a%00b",
    `voice_prompt=${"x".repeat(201)}`,
    `text_prompt=${"x".repeat(4001)}`,
  ])("is refused for %s, by name", (query) => {
    const name = query.split("=")[0]!;
    expect(() => parsed(query)).toThrow(expect.objectContaining({ code: "invalid-argument", part: name }));
  });

  test("2,000 random queries are each refused or handed on within their ranges", async () => {
    const random = seeded(77);
    const names = [
      "text_temperature",
      "audio_topk",
      "seed",
      "pad_mult",
      "voice_prompt",
      "text_prompt",
      "max_steps",
    ];
    const pieces = [
      "",
      "0",
      "1",
      "-",
      ".",
      "e",
      "9",
      "%2F",
      "%00",
      "%",
      "..",
      "NATF0",
      " ",
      "+",
      "\u{1F3B2}",
      "&",
      "=",
    ];
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
    let refused = 0;
    for (let n = 0; n < 2000; n++) {
      const values = Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick(pieces)).join("");
      try {
        const { options } = parseChatRequest(new URLSearchParams(`${pick(names)}=${values}`));
        const { textTemperature = 0, audioTopK = 0, voicePrompt = "NATF0", padMultiplier = 0 } = options;
        expect(textTemperature === 0 || (textTemperature >= 0.001 && textTemperature <= 10)).toBe(true);
        expect(Number.isInteger(audioTopK) && audioTopK >= 0).toBe(true);
        expect(Math.abs(padMultiplier)).toBeLessThanOrEqual(20);
        expect(voicePrompt).not.toMatch(/^\.|[/\\\0\n]/);
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error;
        expect(error.code).toBe("invalid-argument");
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(200);
    expect(refused).toBeLessThan(1900);
  });
});

describe("a query over the wire", () => {
  let server: ModelServer | null = null;
  afterEach(() => server?.close());

  test("a query that asks for what cannot be is refused with the parameter's name, before the session", async () => {
    const engine = new ScriptedEngine();
    const options = { token: null, origins: [], queue: 0, engine };
    server = await ModelServer.open({ ...options, address: "127.0.0.1:0" });
    for (const [query, name] of [
      ["?text_temperature=%zz", "text_temperature"],
      ["?audio_temperature=1&audio_temperature=1", "audio_temperature"],
      ["?text_topk=%F0%9F%8E%B2", "text_topk"],
      ["?audio_topk=1e400", "audio_topk"],
      ["?text_seed=%2D1", "text_seed"],
      ["?voice_prompt=..%2F..%2Fetc%2Fpasswd", "voice_prompt"],
      ["?voice_prompt=%2e%2e%5cNATF0", "voice_prompt"],
      ["?voice_prompt=NATF0.pt%00.safetensors", "voice_prompt"],
      ["?voice_prompt=%C0%AE%C0%AE", "voice_prompt"],
      [`?text_prompt=${"x".repeat(4001)}`, "text_prompt"],
      ["?format=opus&format=pcm_s16le", "format"],
    ] as const) {
      const peer = new Peer(server.url, query);
      expect(await peer.ended).toMatchObject({ code: 400, reason: expect.stringContaining(`${name}: `) });
    }
    // What is longer than a header may be is no request at all.
    await new Peer(server.url, `?text_prompt=${"x".repeat(40_000)}`).ended;
    expect(engine.opened).toEqual([]);
    await new Peer(server.url, "?text_temperature=&voice_prompt=&unheard=of&&=&%").ready();
    expect(engine.opened).toEqual([{}]);
  });
});
