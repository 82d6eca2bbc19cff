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
    /** A word that began at `heardMs` is told. */
    hear(text: string, heardMs: number) {
      timeline.event({ kind: "text", tMs: index * 200, microTurn: index, text, heardMs });
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
  expect(lines[9]).toBe("count my squats");
  expect(lines.slice(10).join("")).toBe("");
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

test("what was heard stands in its lane, and goes with time", async () => {
  const { step, hear, screen } = setUp();
  for (let turn = 0; turn < 5; turn++) step();
  hear("squats", 200);
  hear("please", 600);
  step();
  const captions = async () => (await screen()).find((line) => line.startsWith("captions"));
  // The words began in the second column and in the fourth, where the first one is not over.
  expect(await captions()).toBe("captions  squats please");
  for (let turn = 0; turn < 90; turn++) step();
  expect(await captions()).toBe("captions");
  expect((await screen()).filter((line) => line === "the title")).toHaveLength(1);
});
