import { describe, expect, test } from "vitest";
import { NullSpeaker } from "../../../devices/speaker/null-speaker.ts";
import { webVtt } from "../../../src/cli/report/captions.ts";
import { reportPage } from "../../../src/cli/report/page.ts";
import { joinWords } from "../../../src/cli/report/phrases.ts";
import { SessionRecord } from "../../../src/cli/report/record.ts";
import { drawStaves } from "../../../src/cli/report/stave.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { SessionSummary } from "../../../src/runtime/events.ts";

const summary: SessionSummary = {
  model: "test/<model>",
  backend: "cpu",
  adapter: "none",
  reason: "it is a test",
  microTurns: 125,
  late: 0,
  stepMs: { p50: 7, p99: 11, p999: 12, max: 12 },
  gaps: { count: 0, totalMs: 0 },
  dropped: { frames: 0, events: 0, phrases: 0, sound: 0, intervals: 0 },
};

/** 25 s of session: two staves. */
function record(): SessionRecord {
  const made = new SessionRecord();
  for (let microTurn = 0; microTurn < 125; microTurn++) {
    made.collector.columns.push({ microTurn, motion: 3, levelDb: -60, stepMs: 20, late: false });
  }
  made.collector.marks.push({ lane: "typed", tMs: 1000, text: 'say "<b>" & more' });
  made.played.push({ text: " 1", startMs: 5000, endMs: 5400, whole: true });
  made.played.push({ text: " over the edge", startMs: 19_500, endMs: 20_500, whole: false });
  return made;
}

test("words of a model's own sound are put together from the pieces that sounded", async () => {
  const made = new SessionRecord();
  const clock = new VirtualClock();
  clock.start();
  const speaker = made.listenTo(new NullSpeaker(clock));
  const piece = { sampleRateHz: 24_000, samples: new Float32Array(1920), isStream: true };
  const texts = ["", " hel", "lo", "", " you", "", "."];
  for (const text of texts) await speaker.play(text, piece).finished;
  speaker.play("a phrase of a voice", { sampleRateHz: 24_000, samples: new Float32Array(2400) });
  await clock.sleepUntil(1000);
  expect(made.played).toEqual([
    { text: " hello", startMs: 80, endMs: 240, whole: true },
    { text: " you", startMs: 320, endMs: 400, whole: true },
    { text: ".", startMs: 480, endMs: 560, whole: true },
    { text: "a phrase of a voice", startMs: 560, endMs: 660, whole: true },
  ]);
});

describe("the report", () => {
  const page = reportPage({ title: "a <test>", record: record(), summary, microTurnMs: 200 });

  test("needs nothing from outside", () => {
    expect(page).not.toMatch(/<(link|script|img|iframe)|(src|href)=|url\(|@import/);
  });

  test("lets no text become markup", () => {
    expect(page).toContain("a &lt;test&gt;");
    expect(page).toContain("test/&lt;model&gt;");
    expect(page).toContain("say &quot;&lt;b&gt;&quot; &amp; more");
    expect(page).not.toContain("<b>&");
  });

  test("is well formed: every tag that opens closes", () => {
    const open: string[] = [];
    const voids = new Set(["meta", "!doctype"]);
    for (const [, slash, name, , selfClosed] of page.matchAll(
      /<(\/?)([!a-z][a-z0-9]*)((?:"[^"]*"|[^">])*?)(\/?)>/g,
    )) {
      if (voids.has(name!) || selfClosed) continue;
      if (slash) expect(open.pop()).toBe(name);
      else open.push(name!);
    }
    expect(open).toEqual([]);
  });
});

describe("the timeline", () => {
  test("puts times where they belong", () => {
    const { collector, played } = record();
    const drawing = drawStaves({
      microTurnMs: 200,
      columns: collector.columns,
      marks: collector.marks,
      played,
      heard: [
        { text: "how", startMs: 5000 },
        { text: "many", startMs: 5200 },
      ],
      truth: { reps: [{ timeS: 10, count: 1 }], due: [], answers: [], speech: [] },
    });
    expect(drawing.match(/<svg/g)).toHaveLength(2);
    // The lanes run from 84 to 1120 px over 20 s: second 10 is in the middle, at 602; second 5 at 343.
    expect(drawing).toMatch(/<path d="M602\.0 /);
    expect(drawing).toMatch(/<rect x="343" [^>]*class="says"/);
    // What was heard stands with what was typed.
    expect(drawing).toMatch(/<circle cx="343" [^>]*class="typed"\/><text x="351"[^>]*>how many<\/text>/);
    // A phrase over the edge of a stave is drawn in both: its end to the right edge, its rest from the left one.
    expect(drawing).toMatch(/<rect x="1094\.1" [^>]*width="24\.9"[^>]*class="says cut"/);
    expect(drawing).toMatch(/<rect x="84" [^>]*width="24\.9"[^>]*class="says cut"/);
    // 20 ms of 200 are a tenth of the lane's 36 px.
    expect(drawing).toMatch(/height="3\.6" class="step"/);
  });

  test("of no session at all is an empty stave", () => {
    const drawing = drawStaves({
      microTurnMs: 200,
      columns: [],
      marks: [],
      played: [],
      heard: [],
      truth: null,
    });
    expect(drawing.match(/<svg/g)).toHaveLength(1);
  });
});

test("joinWords joins what sounds in one go, but no numbers and nothing after a cut", () => {
  const say = (text: string, startMs: number, endMs: number, whole = true) => ({
    text,
    startMs,
    endMs,
    whole,
  });
  const phrases = joinWords([
    say(" stand", 0, 300),
    say(" tall", 400, 700, true),
    say(" 4", 800, 1000),
    say(" then", 1100, 1300),
    say(" sit", 1400, 1500, false),
    say(" go", 1600, 1900),
    say(" on", 2400, 2600),
  ]);
  expect(phrases.map(({ text, startMs, endMs, whole }) => [text, startMs, endMs, whole])).toEqual([
    ["stand tall", 0, 700, true],
    ["4", 800, 1000, true],
    ["then sit", 1100, 1500, false],
    ["go", 1600, 1900, true],
    ["on", 2400, 2600, true],
  ]);
});

describe("captions", () => {
  test("stand long enough to be read, but not into the next", () => {
    const vtt = webVtt([
      { text: " 1", startMs: 1000, endMs: 1300, whole: true },
      { text: " 2 & <3>", startMs: 1500, endMs: 1800, whole: true },
      { text: " and then", startMs: 3_661_000, endMs: 3_662_500, whole: false },
    ]);
    expect(vtt).toBe(
      "WEBVTT\n\n00:00:01.000 --> 00:00:01.500\n1\n\n00:00:01.500 --> 00:00:02.400\n2 &amp; &lt;3&gt;\n\n" +
        "01:01:01.000 --> 01:01:02.500\nand then —\n",
    );
  });

  test("have what was heard, as phrases, in order among what sounded", () => {
    const heard = [
      { text: "how", startMs: 200 },
      { text: "many", startMs: 440 },
      { text: "are", startMs: 680 },
      { text: "done", startMs: 1300 },
      { text: "there", startMs: 2600 },
    ];
    expect(webVtt([{ text: " 3", startMs: 1500, endMs: 1800, whole: true }], heard)).toBe(
      "WEBVTT\n\n00:00:00.200 --> 00:00:01.700\nhow many are done\n\n00:00:01.500 --> 00:00:02.400\n3\n\n" +
        "00:00:02.600 --> 00:00:03.500\nthere\n",
    );
  });

  test("cannot be ended by what they say", () => {
    const heard = [{ text: "a\n\n00:00:09.000 --> 00:00:10.000\nb", startMs: 0 }];
    expect(webVtt([], heard)).toBe(
      "WEBVTT\n\n00:00:00.000 --> 00:00:00.900\na 00:00:09.000 --&gt; 00:00:10.000 b\n",
    );
  });

  test("of silence are a valid empty file", () => {
    expect(webVtt([])).toBe("WEBVTT\n");
  });
});
