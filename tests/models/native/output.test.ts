import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadCheckpoint } from "../../../models/native/checkpoint.ts";
import type { NativeConfig } from "../../../models/native/config.ts";
import { OutputDecoder } from "../../../models/native/output.ts";
import { NativeTokenizer } from "../../../models/native/tokenizer.ts";
import { writeRandomCheckpoint } from "./random-checkpoint.ts";

const NEXT = 1;
const YIELD = 2;
let directory: string;
let tokenizer: NativeTokenizer;
let config: NativeConfig;
let delegate: number;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "output-"));
  await writeRandomCheckpoint(directory);
  const checkpoint = await loadCheckpoint(directory);
  tokenizer = await NativeTokenizer.load(checkpoint);
  delegate = checkpoint.config.vocabSize - 1;
  config = { ...checkpoint.config, tokens: { ...checkpoint.config.tokens, delegate } };
});
afterAll(() => rm(directory, { recursive: true }));

/** The tokens of words as a model says them: without <typed>. */
const words = (text: string) => tokenizer.encodeTyped(text).slice(1);

test("the words from <delegate> to <next> are a task, those before it are spoken", () => {
  const decoder = new OutputDecoder(config, tokenizer);
  expect(decoder.decode([...words("1"), delegate, ...words("count"), NEXT])).toEqual([
    { kind: "speech", text: " 1" },
    { kind: "action", name: "delegate", args: { text: "count" } },
  ]);
  expect(decoder.decode([...words("1"), NEXT])).toEqual([{ kind: "speech", text: " 1" }]);
});

test("a task goes on over blocks that their cap closed, and ends with the first that <next> closes", () => {
  const decoder = new OutputDecoder(config, tokenizer);
  expect(decoder.decode([delegate, ...words("count")])).toEqual([]);
  expect(decoder.decode(words("1"))).toEqual([]);
  expect(decoder.decode([NEXT])).toEqual([{ kind: "action", name: "delegate", args: { text: "count 1" } }]);
});

test("giving way ends a task; one without words, or forgotten by a reset, is none", () => {
  const decoder = new OutputDecoder(config, tokenizer);
  expect(decoder.decode([delegate, ...words("count"), YIELD, NEXT])).toEqual([
    { kind: "action", name: "delegate", args: { text: "count" } },
    { kind: "yield" },
  ]);
  expect(decoder.decode([delegate, NEXT])).toEqual([]);
  decoder.decode([delegate, ...words("count")]);
  decoder.reset();
  expect(decoder.decode([...words("1"), NEXT])).toEqual([{ kind: "speech", text: " 1" }]);
});

test("a task without end is cut", () => {
  const decoder = new OutputDecoder(config, tokenizer);
  decoder.decode([delegate]);
  for (let i = 0; i < 2000; i++) decoder.decode(words("count"));
  const [part] = decoder.decode([NEXT]);
  expect(part).toMatchObject({ kind: "action", name: "delegate" });
  expect(part?.kind === "action" && String(part.args.text).length).toBe(3999);
});
