import { describe, expect, test } from "vitest";
import type { InputEvent, MicroTurnInput, VideoFrame } from "../../src/core/micro-turn.ts";
import type { Reasoner, SessionSnapshot } from "../../src/core/reasoner.ts";
import { Delegation, type SharePolicy } from "../../src/runtime/delegation.ts";

/** Keeps what it was called with. */
class ReasonerSpy implements Reasoner {
  readonly calls: string[] = [];
  readonly snapshots: SessionSnapshot[] = [];
  get source(): never {
    throw new Error("not asked for here");
  }
  delegate(text: string, snapshot: SessionSnapshot): void {
    this.calls.push(`delegate ${text}`);
    this.snapshots.push(snapshot);
  }
  amend(text: string, task?: string): void {
    this.calls.push(`amend ${text} ${task}`);
  }
  answer(text: string, task?: string): void {
    this.calls.push(`answer ${text} ${task}`);
  }
  cancel(task?: string): void {
    this.calls.push(`cancel ${task}`);
  }
}

function input(index: number, events: InputEvent[], frames: VideoFrame[] = []): MicroTurnInput {
  return { index, startMs: 200 * index, durationMs: 200, audio: null, frames, events };
}

const frame = (captureMs: number): VideoFrame => ({
  captureMs,
  width: 1,
  height: 1,
  rgb: Uint8Array.of(captureMs, 0, 0),
});

const events: InputEvent[] = [
  { kind: "text", timeMs: 10, text: "count my squats" },
  { kind: "played", timeMs: 20, endMs: 90, text: "that makes 7" },
  {
    kind: "device",
    timeMs: 30,
    device: "file camera /home/ann/squats.mp4",
    state: "ended",
    detail: "secret",
  },
  { kind: "device", timeMs: 40, device: "reasoner", state: "ready", detail: "" },
  { kind: "serial", timeMs: 50, line: "door open" },
  {
    kind: "reasoner",
    timeMs: 60,
    task: "t",
    state: "result",
    about: "",
    text: "the thighs",
    ageMs: 0,
    stale: false,
  },
];

/** What a delegate after one micro-turn of `events`, with a yield before, is given. */
function snapshotOf(share: SharePolicy): { snapshot: SessionSnapshot; frame: VideoFrame } {
  const reasoner = new ReasonerSpy();
  const delegation = new Delegation(reasoner, share);
  const seen = frame(150);
  delegation.event({ tMs: 5, microTurn: 0, kind: "yield", text: "as I was saying 12" });
  const output = { index: 0, tokens: [], parts: [] };
  delegation.step({
    inputs: [input(0, events, [frame(50), seen])],
    output,
    savings: [],
    stepMs: 1,
    late: false,
  });
  delegation.act({ name: "delegate", args: { text: "which muscles?" } });
  return { snapshot: reasoner.snapshots[0]!, frame: seen };
}

describe("what leaves the device with a task", () => {
  test("by default: time and states, no word and no picture, and no path", () => {
    const { snapshot } = snapshotOf({ transcript: false, stills: false });
    expect(snapshot).toEqual({
      elapsedMs: 200,
      transcript: [],
      counts: [],
      devices: [{ device: "file camera", state: "ended" }],
      stills: [],
    });
  });

  test("with the transcript: who said what, whether it was heard, and the last number said", () => {
    const { snapshot } = snapshotOf({ transcript: true, stills: false });
    expect(snapshot.transcript).toEqual([
      { by: "device", timeMs: 5, text: "as I was saying 12", heard: false },
      { by: "person", timeMs: 10, text: "count my squats", heard: true },
      { by: "device", timeMs: 20, text: "that makes 7", heard: true },
      { by: "reasoner", timeMs: 60, text: "the thighs", heard: true },
    ]);
    expect(snapshot.counts).toEqual([{ name: "last number said", value: 7 }]);
    expect(snapshot.stills).toEqual([]);
  });

  test("with stills: the newest picture, in memory of its own", () => {
    const { snapshot, frame: seen } = snapshotOf({ transcript: false, stills: true });
    seen.rgb.fill(0);
    expect(snapshot.stills).toEqual([frame(150)]);
    expect(snapshot.transcript).toEqual([]);
  });

  test("a long session is remembered in a bounded place", () => {
    const reasoner = new ReasonerSpy();
    const delegation = new Delegation(reasoner, { transcript: true, stills: false });
    const output = { index: 0, tokens: [], parts: [] };
    for (let i = 0; i < 1000; i++) {
      const inputs = [input(i, [{ kind: "text", timeMs: i, text: `${i} ${"x".repeat(5000)}` }])];
      delegation.step({ inputs, output, savings: [], stepMs: 1, late: false });
    }
    delegation.act({ name: "delegate", args: { text: "a" } });
    const { transcript } = reasoner.snapshots[0]!;
    expect(transcript).toHaveLength(200);
    expect(transcript[0]!.text).toMatch(/^800 x+$/);
    expect(Math.max(...transcript.map(({ text }) => text.length))).toBe(500);
  });
});

test("actions reach the reasoner; what a model gives that is no text does no harm", () => {
  const reasoner = new ReasonerSpy();
  const delegation = new Delegation(reasoner, { transcript: false, stills: false });
  delegation.act({ name: "amend", args: { text: "in French", task: "t1" } });
  delegation.act({ name: "answer", args: { text: "two metres" } });
  delegation.act({ name: "cancel", args: { task: "t1" } });
  delegation.act({ name: "cancel", args: {} });
  delegation.act({ name: "delegate", args: { text: 7 } });
  delegation.act({ name: "amend", args: { text: null, task: {} } });
  expect(reasoner.calls).toEqual([
    "amend in French t1",
    "answer two metres undefined",
    "cancel t1",
    "cancel undefined",
    "delegate ",
    "amend  undefined",
  ]);
  expect(["delegate", "amend", "answer", "cancel"].every((name) => delegation.takes(name))).toBe(true);
  expect(delegation.takes("point")).toBe(false);
});
