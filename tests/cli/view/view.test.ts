import { describe, expect, test } from "vitest";
import { Collector, levelDb } from "../../../src/cli/view/collector.ts";
import { clockText, eventJson, eventLine } from "../../../src/cli/view/event-line.ts";
import { drawTimeline } from "../../../src/cli/view/terminal.ts";
import type { MicroTurnInput, VideoFrame } from "../../../src/core/micro-turn.ts";

function frame(value: number): VideoFrame {
  return { captureMs: 0, width: 64, height: 48, rgb: new Uint8Array(64 * 48 * 3).fill(value) };
}

function input(index: number, parts: Partial<MicroTurnInput> = {}): MicroTurnInput {
  return { index, startMs: index * 200, durationMs: 200, audio: null, frames: [], events: [], ...parts };
}

describe("the collector", () => {
  test("measures level and motion", () => {
    const collector = new Collector();
    const step = (made: MicroTurnInput) =>
      collector.step({
        inputs: [made],
        output: { index: made.index, tokens: [], parts: [] },
        savings: [],
        stepMs: 5,
        late: false,
      });
    step(input(0, { frames: [frame(10)], audio: new Float32Array(3200).fill(0.1) }));
    step(input(1, { frames: [frame(10), frame(17)], audio: new Float32Array(3200) }));
    step(input(2));
    expect(collector.columns.map(({ motion }) => motion)).toEqual([0, 7, null]);
    expect(collector.columns[0]!.levelDb).toBeCloseTo(-20, 4);
    expect(collector.columns[1]!.levelDb).toBe(-90);
    expect(collector.columns[2]!.levelDb).toBeNull();
  });

  test("lets no text move a terminal's cursor or break its lanes", () => {
    const collector = new Collector();
    const text = "\x1b[2Jgone\r\n\x07here\x9b31m";
    collector.event({ kind: "text", tMs: 0, microTurn: 0, text, heardMs: 0 });
    collector.event({ kind: "speech", tMs: 0, microTurn: 0, text });
    expect(collector.marks.map((mark) => mark.text)).toEqual(["[2Jgone here 31m", "[2Jgone here 31m"]);
    expect(eventLine({ kind: "text", tMs: 0, microTurn: 0, text })).toBe(
      "  0:00.0  shows    [2Jgone here 31m",
    );
  });

  test("names a file by its own name", () => {
    const collector = new Collector();
    const device = "file camera /home/ann/films/squat.mp4";
    collector.event({ kind: "device", tMs: 0, microTurn: 0, device, state: "ended", detail: "" });
    expect(collector.marks[0]!.text).toBe("file camera squat.mp4 ended");
  });

  test("keeps the newest only, if told so", () => {
    const collector = new Collector(3);
    for (let i = 0; i < 10; i++) {
      collector.step({
        inputs: [input(i)],
        output: { index: i, tokens: [], parts: [] },
        savings: [],
        stepMs: 5,
        late: false,
      });
      collector.event({ kind: "speech", tMs: i * 200, microTurn: i, text: ` ${i}` });
    }
    expect(collector.columns.map(({ microTurn }) => microTurn)).toEqual([7, 8, 9]);
    expect(collector.marks.map(({ text }) => text)).toEqual(["7", "8", "9"]);
  });

  test("a late step shows in every micro-turn that it took in", () => {
    const collector = new Collector();
    const output = { index: 1, tokens: [], parts: [] };
    collector.step({ inputs: [input(0), input(1)], output, savings: [], stepMs: 300, late: true });
    expect(collector.columns.map(({ stepMs, late }) => [stepMs, late])).toEqual([
      [300, true],
      [300, true],
    ]);
  });
});

test("levelDb of a full-scale square is 0 dB", () => {
  expect(levelDb(new Float32Array(100).fill(-1))).toBeCloseTo(0, 9);
});

test("drawTimeline puts each text at its micro-turn and cuts what would run into the next", () => {
  const collector = new Collector();
  for (let microTurn = 0; microTurn < 40; microTurn++) {
    collector.columns.push({
      microTurn,
      motion: microTurn < 20 ? null : 16,
      levelDb: -90,
      stepMs: 100,
      late: false,
    });
  }
  collector.marks.push({ lane: "typed", tMs: 1000, text: "count my push-ups" });
  collector.marks.push({ lane: "typed", tMs: 3000, text: "stop" });
  collector.marks.push({ lane: "spoken", tMs: 2200, text: "12" });
  const lines = drawTimeline(collector, { title: "title", microTurnMs: 200, columns: 9 + 40 + 14 });
  const lane = (name: string): string => lines.find((line) => line.startsWith(name))!.slice(9);
  expect(lines[0]).toBe("title");
  expect(lane("typed")).toBe(`${" ".repeat(5)}count my  stop`);
  expect(lane("says")).toBe(`${" ".repeat(11)}12`);
  expect(lane("camera")).toBe(`${" ".repeat(20)}${"█".repeat(20)} motion`);
  expect(lane("step")).toBe(`${"▅".repeat(40)} 100 of 200 ms`);
});

describe("the lane of captions", () => {
  const lane = (marks: [number, string][], columns = 40): string => {
    const collector = new Collector();
    for (let microTurn = 0; microTurn < 40; microTurn++) {
      collector.columns.push({ microTurn, motion: null, levelDb: null, stepMs: 1, late: false });
    }
    for (const [tMs, text] of marks) {
      collector.event({ kind: "text", tMs: tMs + 500, microTurn: 0, text, heardMs: tMs });
    }
    const lines = drawTimeline(collector, { title: "", microTurnMs: 80, columns: 9 + columns + 14 });
    return lines.find((line) => line.startsWith("captions"))!.slice(9);
  };

  test("has a word where it began to be heard", () => {
    expect(lane([[800, "yes"]])).toBe(`${" ".repeat(10)}yes`);
  });

  test("has every word whole, after the one before where that is longer", () => {
    // Columns 10, 12 and 14 by their times.
    expect(
      lane([
        [800, "good"],
        [960, "morning"],
        [1120, "all"],
      ]),
    ).toBe(`${" ".repeat(10)}good morning all`);
  });

  test("shows the newest whole, and what was before it moves to the left and out", () => {
    // Columns 34, 36 and 38 of 40.
    expect(
      lane([
        [2720, "good"],
        [2880, "morning"],
        [3040, "all"],
      ]),
    ).toBe(`${" ".repeat(24)}good morning all`);
    expect(lane([[3000, "incomprehensibilities, of course"]], 20)).toBe("ibilities, of course");
  });

  test("has texts for the screen as well", () => {
    const collector = new Collector();
    collector.columns.push({ microTurn: 0, motion: null, levelDb: null, stepMs: 1, late: false });
    collector.event({ kind: "text", tMs: 0, microTurn: 0, text: "line 3" });
    const lines = drawTimeline(collector, { title: "", microTurnMs: 200, columns: 80 });
    expect(lines).toContain("captions line 3");
  });
});

describe("an event for people", () => {
  test.each([
    [0, "0:00.0"],
    [7449, "0:07.4"],
    [750_000, "12:30.0"],
  ])("%d ms is %s", (tMs, text) => {
    expect(clockText(tMs)).toBe(text);
  });

  test("is one line, and the end none", () => {
    const at = { tMs: 3400, microTurn: 17 };
    expect(eventLine({ ...at, kind: "speech", text: " 1" })).toBe("  0:03.4  says     1");
    expect(eventLine({ ...at, kind: "late", stepMs: 231.4 })).toBe("  0:03.4  late     a step took 231 ms");
    expect(eventLine({ ...at, kind: "action", name: "point", args: { x: 1 } })).toBe(
      '  0:03.4  does     point {"x":1}',
    );
    expect(eventLine({ ...at, kind: "text", text: "line 3" })).toBe("  0:03.4  shows    line 3");
    expect(eventLine({ ...at, kind: "text", text: "yes", heardMs: 2880 })).toBe("  0:02.8  hears    yes");
    expect(eventLine({ ...at, kind: "yield", text: "" })).toBe("  0:03.4  yields");
  });

  test("as JSON is printed as it is, giving way as an action", () => {
    const at = { tMs: 3400, microTurn: 17 };
    expect(JSON.parse(eventJson({ ...at, kind: "speech", text: " 1" }))).toEqual({
      ...at,
      kind: "speech",
      text: " 1",
    });
    expect(JSON.parse(eventJson({ ...at, kind: "yield", text: "and so on" }))).toEqual({
      ...at,
      kind: "action",
      name: "yield",
      args: { unsaid: "and so on" },
    });
  });
});
