import type { Played } from "../../core/device.ts";
import type { Scene } from "../scene.ts";
import type { Column, Mark } from "../view/collector.ts";
import { clockText } from "../view/event-line.ts";
import { type HeardWord, joinWords, phrasesHeard } from "./phrases.ts";
import { PICTURE_STYLE } from "./style.ts";
import { element, label, tooltip } from "./svg.ts";

/** Everything that is drawn, over the whole session. */
export interface TimelineData {
  microTurnMs: number;
  columns: readonly Column[];
  marks: readonly Mark[];
  played: readonly Played[];
  heard: readonly HeardWord[];
  truth: Scene["truth"] | null;
}

/** One line of the timeline, as a stave is one line of a score: session time [startMs, endMs). */
interface Stave {
  startMs: number;
  endMs: number;
}

export const STAVE_WIDTH = 1120;
const STAVE_SECONDS = 20;
const LABELS = 84;
/** Advance of one character of a 12 px system font, px: enough to know whether two texts would touch. */
const CHARACTER_WIDTH = 6.6;

/** Top and height of each lane, px. */
const LANES = {
  typed: { top: 6, height: 36 },
  person: { top: 46, height: 22 },
  sees: { top: 72, height: 28 },
  hears: { top: 106, height: 28 },
  says: { top: 142, height: 54 },
  events: { top: 198, height: 18 },
  step: { top: 222, height: 36 },
  ruler: { top: 262, height: 16 },
} as const;
const STAVE_HEIGHT = 286;
/** Height of a pill of spoken words; longer words stand below it. */
const PILL = 22;

function stavesOf({ columns, microTurnMs }: TimelineData): Stave[] {
  const endMs = ((columns.at(-1)?.microTurn ?? -1) + 1) * microTurnMs;
  const staves: Stave[] = [];
  for (let startMs = 0; startMs < Math.max(endMs, 1); startMs += STAVE_SECONDS * 1000) {
    staves.push({ startMs, endMs: startMs + STAVE_SECONDS * 1000 });
  }
  return staves;
}

/** The session cut into staves, each an SVG of its own: for a page. */
export function drawStaves(data: TimelineData): string {
  return stavesOf(data)
    .map((stave) => {
      const name = `Timeline from ${clockText(stave.startMs)} to ${clockText(stave.endMs)}`;
      const frame = {
        viewBox: `0 0 ${STAVE_WIDTH} ${STAVE_HEIGHT}`,
        class: "stave",
        role: "img",
        "aria-label": name,
      };
      return element("svg", frame, drawStave(data, stave));
    })
    .join("\n");
}

/** The same as one SVG that stands alone: for a document. */
export function drawPicture(data: TimelineData): string {
  const staves = stavesOf(data);
  const pitch = STAVE_HEIGHT + 12;
  const size = { width: STAVE_WIDTH + 24, height: staves.length * pitch + 12 };
  const cards = staves.map((stave, i) => {
    const card = element("rect", {
      x: -6,
      y: 0,
      width: STAVE_WIDTH + 12,
      height: STAVE_HEIGHT,
      rx: 10,
      class: "card",
    });
    return element("g", { transform: `translate(12 ${12 + i * pitch})` }, card + drawStave(data, stave));
  });
  const paper = element("rect", { ...size, class: "paper" });
  const frame = { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${size.width} ${size.height}`, ...size };
  return element("svg", frame, `<style>${PICTURE_STYLE}</style>${paper}${cards.join("")}`);
}

function drawStave(data: TimelineData, stave: Stave): string {
  const parts = [
    drawRuler(stave),
    drawTyped(data, stave),
    data.truth === null ? "" : drawPerson(data.truth, stave),
    drawSees(data, stave),
    drawHears(data, stave),
    drawSays(data, stave),
    drawEvents(data, stave),
    drawSteps(data, stave),
    drawLabels(data.truth !== null),
  ];
  return parts.join("");
}

function xOf(tMs: number, { startMs, endMs }: Stave): number {
  return LABELS + ((tMs - startMs) / (endMs - startMs)) * (STAVE_WIDTH - LABELS);
}

function within(tMs: number, { startMs, endMs }: Stave): boolean {
  return tMs >= startMs && tMs < endMs;
}

function drawLabels(hasTruth: boolean): string {
  return Object.entries(LANES)
    .filter(([name]) => name !== "ruler" && (hasTruth || name !== "person"))
    .map(([name, { top, height }]) =>
      label(name, { x: LABELS - 12, y: top + Math.min(height, 28) / 2 + 4, class: "lane-name" }),
    )
    .join("");
}

function drawRuler(stave: Stave): string {
  const { top } = LANES.ruler;
  const parts: string[] = [];
  for (let tMs = stave.startMs; tMs <= stave.endMs; tMs += 1000) {
    const x = xOf(tMs, stave);
    const strong = (tMs / 1000) % 5 === 0;
    parts.push(element("line", { x1: x, x2: x, y1: 4, y2: top, class: strong ? "grid strong" : "grid" }));
    if (strong && tMs < stave.endMs) parts.push(label(`${tMs / 1000} s`, { x, y: top + 14, class: "tick" }));
  }
  return parts.join("");
}

/** Gives out rows to texts from left to right, so that none touches the one before it in its row. */
class Rows {
  readonly #freeFrom: number[];

  constructor(count: number) {
    this.#freeFrom = new Array<number>(count).fill(Number.NEGATIVE_INFINITY);
  }

  /** The first row that is free from `left` on, which is then taken up to `right`; null if there is none. */
  take(left: number, right: number): number | null {
    const row = this.#freeFrom.findIndex((freeFrom) => freeFrom <= left);
    if (row < 0) return null;
    this.#freeFrom[row] = right;
    return row;
  }
}

/** Marks with their texts, in as many rows as the lane holds; a text that has no room is left to its tooltip. */
function drawTexts(
  marks: readonly Mark[],
  stave: Stave,
  lane: { top: number; height: number },
  style: string,
): string {
  const rows = new Rows(Math.max(1, Math.floor(lane.height / 18)));
  const rowHeight = 18;
  return marks
    .filter(({ tMs }) => within(tMs, stave))
    .map(({ tMs, text }) => {
      const x = xOf(tMs, stave);
      const width = 14 + text.length * CHARACTER_WIDTH;
      // A text that would leave the picture ends at its dot instead.
      const leaves = x + width > STAVE_WIDTH;
      const row = leaves ? rows.take(x - width, x + 8) : rows.take(x, x + width);
      const middle = lane.top + ((row ?? 0) + 0.5) * rowHeight;
      const place = leaves ? { x: x - 8, "text-anchor": "end" } : { x: x + 8 };
      const dot = element("circle", { cx: x, cy: middle, r: 3.5, class: style });
      const words = row === null ? "" : label(text, { ...place, y: middle + 4, class: `${style} words` });
      return element("g", {}, `${tooltip(`${clockText(tMs)} ${text}`)}${dot}${words}`);
    })
    .join("");
}

/** What a person has given in words: typed, or spoken and heard by speech to text. */
function drawTyped({ marks, heard }: TimelineData, stave: Stave): string {
  const typed = marks.filter(({ lane }) => lane === "typed");
  const spoken = phrasesHeard(heard).map(
    ({ text, startMs }): Mark => ({ lane: "heard", tMs: startMs, text }),
  );
  const inOrder = [...typed, ...spoken].sort((a, b) => a.tMs - b.tMs);
  return drawTexts(inOrder, stave, LANES.typed, "typed");
}

function drawEvents({ marks }: TimelineData, stave: Stave): string {
  const events = marks.filter(({ lane }) => lane === "event" || lane === "shown");
  return drawTexts(events, stave, LANES.events, "event");
}

function drawPerson(truth: Scene["truth"], stave: Stave): string {
  const { top, height } = LANES.person;
  const speech = truth.speech
    .filter(({ startS, endS }) => endS * 1000 > stave.startMs && startS * 1000 < stave.endMs)
    .map(({ startS, endS }) => {
      const x = Math.max(LABELS, xOf(startS * 1000, stave));
      const right = Math.min(STAVE_WIDTH, xOf(endS * 1000, stave));
      const bar = { x, y: top + 4, width: right - x, height: height - 8, rx: 3, class: "person-speech" };
      return element("rect", bar, tooltip(`speaks ${startS.toFixed(1)} to ${endS.toFixed(1)} s`));
    });
  const reps = truth.reps
    .filter(({ timeS }) => within(timeS * 1000, stave))
    .map(({ timeS, count }) => {
      const x = xOf(timeS * 1000, stave);
      const diamond = `M${x.toFixed(1)} ${top + 3}l8 8l-8 8l-8 -8z`;
      return element(
        "g",
        {},
        `${tooltip(`repetition ${count} complete at ${timeS.toFixed(1)} s`)}${element("path", { d: diamond, class: "rep" })}`,
      );
    });
  return [...speech, ...reps].join("");
}

/** One bar a micro-turn, from the bottom of the lane; `heightOf` in [0, 1], null for none. */
function drawBars(
  { columns, microTurnMs }: TimelineData,
  stave: Stave,
  lane: { top: number; height: number },
  bar: {
    heightOf: (column: Column) => number | null;
    style: (column: Column) => string;
    say: (column: Column) => string;
  },
): string {
  const width = xOf(microTurnMs, stave) - xOf(0, stave);
  return columns
    .filter(({ microTurn }) => within(microTurn * microTurnMs, stave))
    .map((column) => {
      const share = bar.heightOf(column);
      if (share === null) return "";
      const height = Math.max(1, Math.min(1, share) * lane.height);
      const x = xOf(column.microTurn * microTurnMs, stave);
      const y = lane.top + lane.height - height;
      const box = { x: x + 0.5, y, width: width - 1, height, class: bar.style(column) };
      return element("rect", box, tooltip(bar.say(column)));
    })
    .join("");
}

function drawSees(data: TimelineData, stave: Stave): string {
  return drawBars(data, stave, LANES.sees, {
    heightOf: ({ motion }) => (motion === null ? null : Math.sqrt(motion / 24)),
    style: () => "sees",
    say: ({ motion }) => `motion ${motion?.toFixed(1)}`,
  });
}

function drawHears(data: TimelineData, stave: Stave): string {
  return drawBars(data, stave, LANES.hears, {
    heightOf: ({ levelDb }) => (levelDb === null ? null : Math.max(0, (levelDb + 70) / 60)),
    style: () => "hears",
    say: ({ levelDb }) => `${levelDb?.toFixed(0)} dB`,
  });
}

function drawSays({ played }: TimelineData, stave: Stave): string {
  const { top } = LANES.says;
  const below = new Rows(2);
  return joinWords(played)
    .filter(({ startMs, endMs }) => endMs > stave.startMs && startMs < stave.endMs)
    .map(({ text, startMs, endMs, whole }) => {
      const x = Math.max(LABELS, xOf(startMs, stave));
      const right = Math.min(STAVE_WIDTH, xOf(endMs, stave));
      const said = `${clockText(startMs)} to ${clockText(endMs)}: ${text}${whole ? "" : " (cut off)"}`;
      const box = {
        x,
        y: top,
        width: Math.max(3, right - x - 1),
        height: PILL,
        rx: 5,
        class: whole ? "says" : "says cut",
      };
      return element("g", {}, `${tooltip(said)}${element("rect", box)}${wordsOf(text, x, right, below)}`);
    })
    .join("");
}

/** Spoken words in their pill from `x` to `right`, or below it where they are longer than it. */
function wordsOf(text: string, x: number, right: number, below: Rows): string {
  const { top } = LANES.says;
  const width = text.length * CHARACTER_WIDTH;
  // A number is wider than its sound: it stands over the edge of its pill.
  if (width + 6 <= right - x || text.length <= 3) {
    return label(text, { x: (x + right) / 2, y: top + PILL / 2 + 4.5, class: "said" });
  }
  const leaves = x + width > STAVE_WIDTH;
  const from = leaves ? STAVE_WIDTH - width : x;
  const row = below.take(from, from + width + 6);
  if (row === null) return "";
  const place = leaves ? { x: STAVE_WIDTH, "text-anchor": "end" } : { x };
  return label(text, {
    ...place,
    y: top + PILL + 12 + row * 14,
    class: leaves ? "said below last" : "said below",
  });
}

function drawSteps(data: TimelineData, stave: Stave): string {
  const { top, height } = LANES.step;
  const line = (y: number, style: string): string =>
    element("line", { x1: LABELS, x2: STAVE_WIDTH, y1: y, y2: y, class: style });
  const bars = drawBars(data, stave, LANES.step, {
    heightOf: ({ stepMs }) => stepMs / data.microTurnMs,
    style: ({ late }) => (late ? "step late" : "step"),
    say: ({ microTurn, stepMs }) => `micro-turn ${microTurn}: ${stepMs.toFixed(1)} ms of ${data.microTurnMs}`,
  });
  const budget = label(`${data.microTurnMs} ms`, { x: STAVE_WIDTH - 4, y: top + 10, class: "budget-name" });
  return line(top, "budget") + line(top + height / 2, "budget half") + bars + budget;
}
