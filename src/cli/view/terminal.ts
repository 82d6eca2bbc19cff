import type { SessionEvent, SessionObserver, StepRecord } from "../../runtime/events.ts";
import type { Io } from "../command.ts";
import { Collector, type Column, type Mark } from "./collector.ts";
import { clockText } from "./event-line.ts";

const BLOCKS = " ▁▂▃▄▅▆▇█";
const LABEL_WIDTH = 9;
const NOTE_WIDTH = 14;
const RULER_STEP = 10;

/** What surrounds the lanes of the live timeline. */
export interface Frame {
  /** Model, backend and why: the first line. */
  title: string;
  /** T, ms: one character a micro-turn. */
  microTurnMs: number;
  /** Width of the terminal, characters. */
  columns: number;
}

/** `value` in [0, 1] as a block of that height; 0 is the lowest that can be seen. */
function block(value: number): string {
  return BLOCKS[1 + Math.min(7, Math.max(0, Math.floor(value * 8)))]!;
}

function sparkline(columns: readonly Column[], value: (column: Column) => number | null): string {
  return columns
    .map((column) => {
      const height = value(column);
      return height === null ? " " : block(height);
    })
    .join("");
}

/** Texts at their columns, from left to right; one that would run into the next is cut. */
function textLane(marks: readonly Mark[], first: number, width: number, microTurnMs: number): string {
  const cells = new Array<string>(width).fill(" ");
  const placed = marks.map((mark) => ({ mark, at: Math.floor(mark.tMs / microTurnMs) - first }));
  for (const [i, { mark, at }] of placed.entries()) {
    const end = Math.min(
      width,
      (placed[i + 1]?.at ?? Number.POSITIVE_INFINITY) - (mark.text.length > 1 ? 1 : 0),
    );
    const characters = [...mark.text];
    for (let c = 0; c < characters.length && at + c < Math.max(end, at + 1); c++) {
      if (at + c >= 0 && at + c < width) cells[at + c] = characters[c]!;
    }
  }
  return cells.join("");
}

/**
 * Texts to be read whole, from the oldest to the newest: each at its column, or after the one before it where that is
 * longer. What would go beyond the lane's end moves to the left, and what is before it: speech has more letters than the
 * lane has room where a micro-turn is short.
 */
function captionLane(marks: readonly Mark[], first: number, width: number, microTurnMs: number): string {
  const cells = new Array<string>(width).fill(" ");
  const placed: { at: number; characters: string[] }[] = [];
  let free = Number.NEGATIVE_INFINITY;
  for (const { tMs, text } of marks) {
    const characters = [...text];
    const at = Math.max(free, Math.floor(tMs / microTurnMs) - first);
    placed.push({ at, characters });
    free = at + characters.length + 1;
  }
  let end = width;
  for (const { at: wanted, characters } of placed.reverse()) {
    const at = Math.min(wanted, end - characters.length);
    for (let c = Math.max(0, -at); c < characters.length; c++) cells[at + c] = characters[c]!;
    end = at - 1;
    if (end <= 0) break;
  }
  return cells.join("");
}

function ruler(first: number, width: number, microTurnMs: number): string {
  const marks: Mark[] = [];
  const start = Math.ceil(first / RULER_STEP) * RULER_STEP;
  for (let turn = start; turn < first + width; turn += RULER_STEP) {
    marks.push({ lane: "event", tMs: turn * microTurnMs, text: `'${(turn * microTurnMs) / 1000}s` });
  }
  return textLane(marks, first, width, microTurnMs);
}

/** The live timeline as lines: one lane a stream, one character a micro-turn, the newest at the right. */
export function drawTimeline(collector: Collector, frame: Frame): string[] {
  const { microTurnMs } = frame;
  const width = Math.max(20, frame.columns - LABEL_WIDTH - NOTE_WIDTH);
  const columns = collector.columns.slice(-width);
  const last = columns.at(-1);
  const first = (last?.microTurn ?? 0) + 1 - Math.max(columns.length, 1);
  const lane = (name: string, body: string, note = ""): string =>
    `${name.padEnd(LABEL_WIDTH)}${body.padEnd(width)} ${note}`.trimEnd();
  const marksOf = (...wanted: Mark["lane"][]): Mark[] =>
    collector.marks.filter((mark) => wanted.includes(mark.lane));
  const texts = (wanted: Mark["lane"]): string => textLane(marksOf(wanted), first, width, microTurnMs);
  const captions = marksOf("heard", "shown").sort((a, b) => a.tMs - b.tMs);
  const seen = last?.motion ?? null;
  const heard = last?.levelDb ?? null;
  return [
    frame.title,
    lane(
      "camera",
      sparkline(columns, ({ motion }) => (motion === null ? null : motion / 16)),
      seen === null ? "" : "motion",
    ),
    lane(
      "hears",
      sparkline(columns, ({ levelDb }) => (levelDb === null ? null : (levelDb + 70) / 60)),
      heard === null ? "" : `${heard.toFixed(0)} dB`,
    ),
    lane("captions", captionLane(captions, first, width, microTurnMs)),
    lane("typed", texts("typed")),
    lane("says", texts("spoken")),
    lane("events", texts("event")),
    lane(
      "step",
      sparkline(columns, ({ stepMs }) => stepMs / microTurnMs),
      last ? `${last.stepMs.toFixed(0)} of ${microTurnMs} ms` : "",
    ),
    lane(last ? clockText((last.microTurn + 1) * microTurnMs) : "", ruler(first, width, microTurnMs)),
  ];
}

/** Keeps the live timeline on a terminal up to date, in place. */
export class TerminalTimeline implements SessionObserver {
  readonly #io: Io;
  readonly #title: () => string;
  readonly #microTurnMs: number;
  readonly #collector: Collector;
  #drawnLines = 0;
  /** Lines that the terminal has echoed below the drawing since the last one. */
  #typedLines = 0;

  /**
   * @param title  is asked for anew with every drawing.
   * @param typing where a person types into the same terminal.
   */
  constructor(io: Io, title: () => string, microTurnMs: number, typing?: NodeJS.ReadableStream) {
    this.#io = io;
    this.#title = title;
    this.#microTurnMs = microTurnMs;
    this.#collector = new Collector(1000);
    typing?.on("data", (typed: Buffer | string) => {
      this.#typedLines += typed.toString().split("\n").length - 1;
    });
  }

  step(record: StepRecord): void {
    this.#collector.step(record);
    this.#draw();
  }

  event(event: SessionEvent): void {
    this.#collector.event(event);
  }

  #draw(): void {
    const columns = this.#io.columns;
    const frame = { title: this.#title(), microTurnMs: this.#microTurnMs, columns };
    // A line that wrapped would put the cursor in the wrong place on the next drawing.
    const lines = drawTimeline(this.#collector, frame).map((line) =>
      [...line].slice(0, columns - 1).join(""),
    );
    const drawing = lines.map((line) => `\x1b[2K${line}\n`).join("");
    const up = `\r\x1b[${this.#drawnLines + this.#typedLines}A`;
    if (this.#drawnLines === 0) this.#io.out(drawing);
    // What was typed stands in its lane now; its echo goes.
    else if (this.#typedLines > 0) this.#io.out(`${up}\x1b[J${drawing}`);
    // The cursor comes back to where somebody may be typing.
    else this.#io.out(`\x1b7${up}${drawing}\x1b8`);
    this.#drawnLines = lines.length;
    this.#typedLines = 0;
  }
}
