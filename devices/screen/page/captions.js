/** Phrases closer together than this, ms, are one sentence: they share a line. */
const SAME_LINE_MS = 1200;

/** Session time: "0:07", "12:30". */
export function clockText(tMs) {
  const seconds = Math.floor(tMs / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Captions in lines, oldest first: what was said in one breath stands together. */
function linesOf(captions) {
  const lines = [];
  for (const caption of captions) {
    const line = lines.at(-1);
    const previous = line?.at(-1);
    const goesOn =
      previous?.by === "said" &&
      caption.by === "said" &&
      previous.unheard === "" &&
      caption.tMs - (previous.endMs ?? caption.tMs) < SAME_LINE_MS;
    if (goesOn) line.push(caption);
    else lines.push([caption]);
  }
  return lines;
}

function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

/** The words of one line. Those that never sounded are struck, and say so to who cannot see that. */
function wordsOf(line) {
  return line.flatMap(({ text, unheard, by, endMs }) => {
    const words = [];
    if (text !== "") words.push(span(by === "said" && endMs === null ? "sounding" : "", text), " ");
    if (unheard !== "") {
      const struck = document.createElement("del");
      struck.className = "unheard";
      struck.textContent = unheard;
      words.push(struck, " ");
    }
    return words;
  });
}

/** Keeps the lines of captions up to date, touching only those that changed: each change is read aloud. */
export class CaptionLog {
  #log;
  #maxLines;
  #withTimes;
  #scrolls;
  /** Element and what it shows, by the id of the line's first caption. */
  #lines = new Map();

  constructor(log, { maxLines, withTimes, scrolls }) {
    this.#log = log;
    this.#scrolls = scrolls;
    // A first picture or an alert takes room from the captions between two views.
    if (!scrolls) new ResizeObserver(() => this.#hideCut()).observe(log);
    this.#maxLines = maxLines;
    this.#withTimes = withTimes;
  }

  show(captions) {
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 40;
    const lines = linesOf(captions).slice(-this.#maxLines);
    const shown = new Set(lines.map(([first]) => first.id));
    for (const [id, { element }] of this.#lines) {
      if (shown.has(id)) continue;
      element.remove();
      this.#lines.delete(id);
    }
    for (const line of lines) this.#showLine(line);
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
    if (!this.#scrolls) this.#hideCut();
  }

  /** Where nobody scrolls, a line that is cut by the upper edge is not shown at all; of the newest its end is. */
  #hideCut() {
    const edge = this.#log.getBoundingClientRect().top;
    for (const { element } of this.#lines.values()) {
      const isCut = element.getBoundingClientRect().top < edge && element !== this.#log.lastElementChild;
      element.classList.toggle("cut", isCut);
    }
  }

  #showLine(line) {
    const [{ id, by, tMs }] = line;
    const content = JSON.stringify(line.map(({ text, unheard, endMs }) => [text, unheard, endMs === null]));
    const known = this.#lines.get(id);
    if (known?.content === content) return;
    const element = known?.element ?? document.createElement("p");
    element.classList.add(by);
    const time = document.createElement("time");
    time.textContent = clockText(tMs);
    element.replaceChildren(...(this.#withTimes ? [time, " "] : []), ...wordsOf(line));
    if (!known) this.#log.append(element);
    this.#lines.set(id, { element, content });
  }
}
