import { spawnSync } from "node:child_process";
import { describe } from "vitest";
import { EspeakVoice } from "../../devices/voice/espeak-voice.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { ScriptedVoice } from "./scripted-voice.ts";
import { voiceContract } from "./voice-contract.ts";

const hasEspeak = spawnSync("espeak-ng", ["--version"]).status === 0;
if (!hasEspeak) process.stderr.write("skipped: the espeak voice: there is no espeak-ng\n");

describe("the fake voice in a session", () => voiceContract(() => new FakeVoice()));
describe("a streaming voice in a session", () => voiceContract(() => new ScriptedVoice()));
describe.skipIf(!hasEspeak)("the espeak voice in a session", () => voiceContract(() => new EspeakVoice()));
