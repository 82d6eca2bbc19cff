import { describe, expect, test } from "vitest";
import { parseChatRequest } from "../../src/serve/query.ts";

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
});
