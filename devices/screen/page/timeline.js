const SHOWN_MS = 30_000;
const FLOOR_DB = -70;
const LABEL_PX = 13;

/** @param columns what a view holds. @returns the times of the steps in words. */
export function stepText({ columns, microTurnMs, late }) {
  const newest = columns.at(-1);
  if (newest === undefined) return "no step yet";
  const worst = Math.max(...columns.map(({ stepMs }) => stepMs));
  return `step ${newest.stepMs.toFixed(0)} ms, slowest ${worst.toFixed(0)} ms, budget ${microTurnMs} ms, ${late} late in all`;
}

/**
 * Draws the last 30 s, the newest at the right: marks of what happened, the level of what is heard, and the time of
 * each step against its budget. It is drawn once for each view and never between, so it costs the model next to nothing.
 */
export class Timeline {
  #canvas;
  #withWords;
  #colour;

  /** @param withWords names the marks and the lines; without, there are only shapes. */
  constructor(canvas, { withWords }) {
    this.#canvas = canvas;
    this.#withWords = withWords;
    const style = getComputedStyle(canvas);
    this.#colour = (name) => style.getPropertyValue(`--${name}`);
  }

  draw(view) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const scale = devicePixelRatio;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const context = this.#canvas.getContext("2d");
    context.scale(scale, scale);
    context.font = `${LABEL_PX}px system-ui, sans-serif`;
    const endMs = Math.max(view.tMs, SHOWN_MS);
    const area = {
      context,
      width,
      x: (tMs) => ((tMs - endMs + SHOWN_MS) / SHOWN_MS) * width,
      columnWidth: Math.max(1, (view.microTurnMs / SHOWN_MS) * width - 1),
    };
    const stepsTop = height * (this.#withWords ? 0.62 : 0.3);
    if (this.#withWords) this.#drawTicks(area, endMs, height);
    this.#drawMarks(area, view.marks, this.#withWords ? height * 0.38 : height * 0.3);
    this.#drawLevel(area, view, height * 0.4, height * 0.16);
    this.#drawSteps(area, view, stepsTop, height - stepsTop - (this.#withWords ? LABEL_PX + 5 : 0));
    this.#canvas.setAttribute("aria-label", `the last 30 seconds: ${stepText(view)}`);
  }

  #drawTicks({ context, x }, endMs, height) {
    context.fillStyle = this.#colour("soft");
    for (let agoS = 0; agoS <= 30; agoS += 5) {
      const at = x(endMs - agoS * 1000);
      context.textAlign = agoS === 0 ? "right" : agoS === 30 ? "left" : "center";
      context.fillText(agoS === 0 ? "now" : `${agoS} s ago`, at, height - 3);
    }
    context.textAlign = "left";
  }

  /** A lane for each kind, its words as far as they have room before the next. */
  #drawMarks({ context, x, width }, marks, height) {
    const lanes = ["typed", "spoken", "shown", "event"];
    const colours = { typed: "heard", spoken: "said", shown: "shown" };
    const freeFrom = new Map();
    for (const { lane: name, tMs, text } of marks) {
      // The step's own bar says it already.
      if (name === "event" && text === "late") continue;
      const lane = lanes.includes(name) ? name : "event";
      const laneHeight = height / lanes.length;
      const top = lanes.indexOf(lane) * laneHeight;
      const at = x(tMs);
      context.fillStyle = this.#colour(colours[lane] ?? "warn");
      context.fillRect(at, top + 1, 2, laneHeight - 2);
      if (!this.#withWords) continue;
      const words = text.length > 24 ? `${text.slice(0, 23)}…` : text;
      const wordsWidth = context.measureText(words).width;
      // At the right edge words stand before their mark.
      const left = at + 4 + wordsWidth > width ? at - 3 - wordsWidth : at + 4;
      if (left < (freeFrom.get(lane) ?? 0)) continue;
      context.fillText(words, left, top + laneHeight / 2 + LABEL_PX * 0.36);
      freeFrom.set(lane, at + 10 + wordsWidth);
    }
  }

  #drawLevel({ context, x, columnWidth }, { columns, microTurnMs }, top, height) {
    if (!this.#withWords) return;
    context.fillStyle = this.#colour("level");
    for (const { microTurn, levelDb } of columns) {
      if (levelDb === null) continue;
      const barHeight = Math.max(1, Math.min(1, 1 - levelDb / FLOOR_DB) * height);
      context.fillRect(x(microTurn * microTurnMs), top + height - barHeight, columnWidth, barHeight);
    }
  }

  /** The budget is the upper line: a step that reaches it is late. The design asks for half of it. */
  #drawSteps({ context, x, columnWidth, width }, { columns, microTurnMs }, top, height) {
    const y = (ms) => top + height - Math.min(1, ms / (1.15 * microTurnMs)) * height;
    for (const { microTurn, stepMs, late } of columns) {
      context.fillStyle = this.#colour(late ? "bad" : "step");
      context.fillRect(x(microTurn * microTurnMs), y(stepMs), columnWidth, top + height - y(stepMs));
    }
    context.strokeStyle = this.#colour("soft");
    context.lineWidth = 1;
    for (const [ms, dashes] of [
      [microTurnMs, []],
      [microTurnMs / 2, [2, 5]],
    ]) {
      context.setLineDash(dashes);
      context.beginPath();
      context.moveTo(0, Math.round(y(ms)) + 0.5);
      context.lineTo(width, Math.round(y(ms)) + 0.5);
      context.stroke();
    }
    context.setLineDash([]);
    if (!this.#withWords) return;
    // On a rim of the ground's colour, to be readable before bars.
    context.lineWidth = 4;
    context.strokeStyle = this.#colour("card");
    context.fillStyle = this.#colour("ink");
    context.strokeText(`budget ${microTurnMs} ms`, 2, y(microTurnMs) + LABEL_PX);
    context.fillText(`budget ${microTurnMs} ms`, 2, y(microTurnMs) + LABEL_PX);
  }
}
