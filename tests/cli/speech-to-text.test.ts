import { readFileSync } from "node:fs";
import { join } from "node:path";
import xterm from "@xterm/headless";
import { expect, test, vi } from "vitest";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { run } from "../../src/cli/run.ts";
import { describeOnGpu } from "../kernels/harness.ts";
import { TINY_MOSHI, writeTinyCheckpoint } from "../models/moshi/tiny-checkpoint.ts";
import { CapturedIo } from "./io.ts";
import { makeTone, temporaryFolder } from "./media.ts";

/** Pipelines are compiled here: minutes, on a software adapter that has other things to do. */
vi.setConfig({ testTimeout: 600_000 });

const folder = temporaryFolder();

/** Speech to text that writes at random, every token as likely as any other, with the heads of the `-candle` repository. */
const TINY_STT = {
  ...TINY_MOSHI,
  model_type: "stt",
  n_q: 2,
  dep_q: 0,
  delays: [0, 0, 0],
  extra_heads_num_heads: 4,
  lm_gen_config: { temp_text: 100, top_k_text: 0 },
};

describeOnGpu("speech to text in a session", () => {
  test("its words stand on the terminal and in the file of captions", async () => {
    const [directory, sound, captions] = [
      join(folder, "stt"),
      join(folder, "tone.wav"),
      join(folder, "captions.vtt"),
    ];
    await writeTinyCheckpoint(directory, TINY_STT);
    makeTone(sound, { fromS: 0, toS: 2, seconds: 2 });
    const io = new CapturedIo();
    io.isTerminal = true;
    const args = ["--model", `moshi:${directory}`, "--microphone", `file:${sound}`, "--clock", "virtual"];
    const { command, rest } = findCommand(["run", ...args, "--captions", captions, "--seed", "4"]);
    expect(await run(parseInvocation(command, rest, io))).toBe(0);

    const terminal = new xterm.Terminal({
      cols: io.columns,
      rows: 40,
      allowProposedApi: true,
      convertEol: true,
    });
    await new Promise<void>((resolve) => terminal.write(io.stdout, resolve));
    const { active } = terminal.buffer;
    const lines = Array.from({ length: active.length }, (_, row) =>
      active.getLine(row)!.translateToString(true),
    );
    const [shown, ...others] = lines.filter((line) => line.startsWith("captions"));
    expect(others).toEqual([]);
    const cues = readFileSync(captions, "utf8").split("\n\n").slice(1);
    const written = cues.map((cue) => cue.trim().split("\n").slice(1).join(""));
    expect(written.length).toBeGreaterThan(3);
    // The file escapes what would be markup, and has other breaks between words.
    const letters = written
      .join("")
      .replace(/&lt;/g, "<")
      .replace(/&gt;/g, ">")
      .replace(/&amp;/g, "&")
      .replace(/\s/g, "");
    const last = shown!.slice(9).replace(/\s/g, "");
    expect(last.length).toBeGreaterThan(5);
    expect(letters.slice(-last.length)).toBe(last);
  });
});
