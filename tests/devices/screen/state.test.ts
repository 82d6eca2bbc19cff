import { describe, expect, test } from "vitest";
import { Captions } from "../../../devices/screen/captions.ts";
import { ScreenState } from "../../../devices/screen/state.ts";
import type { ReasonerEvent } from "../../../src/core/micro-turn.ts";
import { REASONER_DEVICE } from "../../../src/core/reasoner.ts";

const NOTHING = { columns: [], marks: [] };
const HEARS = { columns: [{ microTurn: 0, levelDb: -90, stepMs: 1, late: false }], marks: [] };
const DEAF = { columns: [{ microTurn: 0, levelDb: null, stepMs: 1, late: false }], marks: [] };

/** What a reader sees: words, and in brackets those that are struck. */
const lines = (captions: Captions): string[] =>
  captions.list.map(({ by, text, unheard }) => `${by}: ${text}${unheard ? ` [${unheard}]` : ""}`);

describe("captions", () => {
  test("words stand from their first sample on, and have an end when they have sounded", () => {
    const captions = new Captions();
    captions.add("heard", 0, "count my squats");
    captions.began(1000, "one more");
    expect(captions.speaking).toBe(true);
    expect(captions.list.at(-1)).toMatchObject({ by: "said", text: "one more", endMs: null });
    captions.sounded(1000, 1600, "one more");
    expect(captions.speaking).toBe(false);
    expect(captions.list.at(-1)).toMatchObject({ text: "one more", endMs: 1600, unheard: "" });
    expect(lines(captions)).toEqual(["heard: count my squats", "said: one more"]);
  });

  test("a flush strikes what did not sound, as the speaker reports it", () => {
    const captions = new Captions();
    captions.began(1000, "keep your back straight");
    captions.flushed(1500);
    expect(captions.speaking).toBe(false);
    captions.sounded(1000, 1500, "keep your");
    captions.knownTo(1600);
    expect(lines(captions)).toEqual(["said: keep your [back straight]"]);
  });

  test("a phrase of which nothing is reported after a flush was not heard", () => {
    const captions = new Captions();
    captions.began(1000, "straight");
    captions.flushed(1050);
    captions.knownTo(1000);
    expect(lines(captions)).toEqual(["said: straight"]);
    captions.knownTo(1200);
    expect(lines(captions)).toEqual(["said:  [straight]"]);
  });

  test("a phrase that was over before a flush stays, though its report comes after", () => {
    const captions = new Captions();
    captions.began(1000, "seven");
    captions.flushed(1700);
    captions.sounded(1000, 1400, "seven");
    captions.knownTo(1800);
    expect(lines(captions)).toEqual(["said: seven"]);
  });

  test("a report that is very late still counts", () => {
    const captions = new Captions();
    captions.began(1000, "keep going");
    captions.flushed(1500);
    captions.knownTo(2000);
    captions.sounded(1000, 1500, "keep");
    expect(lines(captions)).toEqual(["said: keep [going]"]);
  });

  test.each([
    [["7"], "7"],
    [["7", "and 8, go"], "8"],
    [["8", "well done"], "8"],
    [["1:30 left"], "1:30"],
    [["2.5 minutes."], "2.5"],
    [["well done"], null],
  ])("after %j the last number is %j, as it was spoken", (phrases, number) => {
    const captions = new Captions();
    phrases.forEach((phrase, k) => {
      captions.began(1000 * k, phrase);
      captions.sounded(1000 * k, 1000 * k + 500, phrase);
    });
    captions.add("heard", 9000, "I did 99");
    expect(captions.number).toBe(number);
  });

  test("a number that was cut off was not said", () => {
    const captions = new Captions();
    captions.began(0, "11");
    captions.sounded(0, 400, "11");
    captions.began(2000, "12");
    expect(captions.number).toBe("12");
    captions.flushed(2100);
    captions.knownTo(2200);
    expect(captions.number).toBe("11");
  });

  test("are bounded in number and length; the last number outlives its caption", () => {
    const captions = new Captions();
    captions.began(0, "7");
    captions.sounded(0, 400, "7");
    for (let k = 0; k < 500; k++) captions.add("heard", 1000 + k, "x".repeat(2000));
    expect(captions.list).toHaveLength(40);
    expect(captions.list[0]!.text).toHaveLength(500);
    expect(captions.number).toBe("7");
  });
});

describe("the state of a screen", () => {
  const state = () => new ScreenState({ title: "model", microTurnMs: 200 });
  const reasoner = (task: string, kind: ReasonerEvent["state"], text = ""): ReasonerEvent => ({
    kind: "reasoner",
    timeMs: 0,
    task,
    state: kind,
    about: `about ${task}`,
    text,
    ageMs: 0,
    stale: false,
  });

  test("tells speaking, listening and silent by what sounds and what is taken in", () => {
    const screen = state();
    expect(screen.view(NOTHING).activity).toBe("starting");
    screen.stepped(200, [], false);
    expect(screen.view(HEARS).activity).toBe("listening");
    expect(screen.view(DEAF).activity).toBe("silent");
    screen.captions.began(200, "one");
    expect(screen.view(HEARS).activity).toBe("speaking");
    screen.input({ kind: "played", timeMs: 200, endMs: 500, text: "one" });
    expect(screen.view(HEARS).activity).toBe("listening");
    screen.device("pulse microphone default", "lost", "unplugged");
    expect(screen.view(HEARS).activity).toBe("silent");
    screen.device("pulse microphone default", "ready", "");
    expect(screen.view(HEARS).activity).toBe("listening");
    screen.ended(900);
    expect(screen.view(HEARS)).toMatchObject({ activity: "ended", tMs: 900 });
  });

  test("what still sounds at the end was not heard whole", () => {
    const screen = state();
    screen.captions.began(100, "and now");
    screen.ended(200);
    expect(screen.view(NOTHING).captions).toMatchObject([{ text: "", unheard: "and now" }]);
  });

  test("says offline, recording, degraded and late", () => {
    const screen = state();
    expect(screen.view(NOTHING)).toMatchObject({ offline: false, recording: false, savings: [], late: 0 });
    screen.device(REASONER_DEVICE, "lost", "");
    screen.device("recorder out/a.mcap", "ready", "");
    screen.stepped(200, ["lower-video-rate"], true);
    expect(screen.view(NOTHING)).toMatchObject({
      offline: true,
      recording: true,
      savings: ["lower-video-rate"],
      late: 1,
    });
    screen.device(REASONER_DEVICE, "ready", "");
    screen.device("recorder out/a.mcap", "lost", "disk full");
    expect(screen.view(NOTHING)).toMatchObject({ offline: false, recording: false });
  });

  test("follows tasks, appends what comes in parts, and lets those go that are over", () => {
    const screen = state();
    screen.input(reasoner("a", "accepted"));
    screen.input(reasoner("a", "partial", "Ninety "));
    screen.input(reasoner("a", "partial", "seconds."));
    expect(screen.view(NOTHING).tasks).toMatchObject([
      { task: "a", state: "partial", text: "Ninety seconds." },
    ]);
    screen.input(reasoner("b", "result", "done"));
    for (const task of ["c", "d", "e", "f", "g"]) screen.input(reasoner(task, "accepted"));
    expect(screen.view(NOTHING).tasks.map(({ task }) => task)).toEqual(["a", "c", "d", "e", "f", "g"]);
  });

  test("stays small whatever is said to it", () => {
    const screen = state();
    const long = "w ".repeat(5000);
    for (let k = 0; k < 1000; k++) {
      screen.input({ kind: "text", timeMs: k, text: long });
      screen.input(reasoner(`task ${k}`, "partial", long));
      screen.device(`camera ${k}`, "lost", long);
      screen.captions.began(k, long);
    }
    expect(JSON.stringify(screen.view(NOTHING)).length).toBeLessThan(60_000);
  });
});
