import { PassThrough } from "node:stream";
import xterm from "@xterm/headless";
import { expect, test } from "vitest";
import type { Io } from "../../../src/cli/command.ts";
import { TerminalTimeline } from "../../../src/cli/view/terminal.ts";

/** A terminal of 80 x 12 with a live timeline, and a person who types into it. */
function setUp() {
  const terminal = new xterm.Terminal({ cols: 80, rows: 12, allowProposedApi: true, convertEol: true });
  const io: Io = {
    out: (text) => terminal.write(text),
    err: () => {},
    isTerminal: true,
    columns: 80,
    signal: new AbortController().signal,
  };
  const typing = new PassThrough();
  const timeline = new TerminalTimeline(io, () => "the title", 200, typing);
  let index = 0;
  return {
    /** One micro-turn goes by. */
    step() {
      const input = { index, startMs: index * 200, durationMs: 200, audio: null, frames: [], events: [] };
      timeline.step({
        inputs: [input],
        output: { index, tokens: [], parts: [] },
        savings: [],
        stepMs: 9,
        late: false,
      });
      index++;
    },
    /** As a terminal does it: keys are echoed at once, the line is handed over at its end. */
    async type(text: string) {
      terminal.write(text);
      if (text.endsWith("\n")) typing.write(text);
      await new Promise(setImmediate);
    },
    async screen(): Promise<string[]> {
      await new Promise<void>((resolve) => terminal.write("", resolve));
      const { active } = terminal.buffer;
      return Array.from({ length: active.length }, (_, row) => active.getLine(row)!.translateToString(true));
    },
  };
}

test("the timeline stays in its place, and what is being typed stays below it", async () => {
  const { step, type, screen } = setUp();
  step();
  await type("count my");
  step();
  await type(" squats");
  step();
  const lines = await screen();
  expect(lines.filter((line) => line === "the title")).toHaveLength(1);
  expect(lines[8]).toBe("count my squats");
  expect(lines.slice(9).join("")).toBe("");
});

test("a typed line leaves nothing behind, wherever on the screen it was", async () => {
  const { step, type, screen } = setUp();
  for (let line = 0; line < 6; line++) {
    step();
    await type(`how many ${line}\n`);
    await type("\n");
    step();
  }
  const lines = await screen();
  expect(lines.filter((line) => line === "the title")).toHaveLength(1);
  expect(lines.join("\n")).not.toContain("how many");
});
