import type { SessionSummary } from "../../runtime/events.ts";
import type { Scene } from "../scene.ts";
import { clockText } from "../view/event-line.ts";
import { joinWords } from "./phrases.ts";
import type { SessionRecord } from "./record.ts";
import { drawStaves } from "./stave.ts";
import { PAGE_STYLE } from "./style.ts";
import { element, escapeText, label, tooltip } from "./svg.ts";

export interface ReportInput {
  title: string;
  record: SessionRecord;
  summary: SessionSummary;
  /** T, ms. */
  microTurnMs: number;
  /** What should have happened, where it is known. */
  truth?: Scene["truth"];
  /** Sentences on how it went. */
  findings?: readonly string[];
}

/** One session as one HTML page that needs nothing else: no script, no font, no picture from outside. */
export function reportPage({
  title,
  record,
  summary,
  microTurnMs,
  truth,
  findings = [],
}: ReportInput): string {
  const staves = drawStaves(record.timeline(microTurnMs, truth ?? null));
  const stepMs = record.collector.columns.map((column) => column.stepMs);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeText(title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>${escapeText(title)}</h1>
<p>${escapeText(`${summary.model} on ${summary.backend}, ${summary.adapter}: ${summary.reason}`)}</p>
</header>
<section class="figures">
${figures(summary, record, microTurnMs, truth)}
</section>
${findings.length > 0 ? `<ul class="findings">${findings.map((finding) => `<li>${escapeText(finding)}</li>`).join("")}</ul>` : ""}
<section>
<h2>Timeline</h2>
${legend(truth !== undefined)}
${staves}
</section>
<div class="columns">
<section>
<h2>Step times</h2>
${distribution(stepMs, microTurnMs)}
</section>
<section>
<h2>What was said</h2>
${transcript(record)}
</section>
</div>
</main>
</body>
</html>
`;
}

function figure(value: string, name: string, style = ""): string {
  return `<div class="figure ${style}"><b>${escapeText(value)}</b><span>${escapeText(name)}</span></div>`;
}

function figures(
  { microTurns, late, stepMs }: SessionSummary,
  { played }: SessionRecord,
  microTurnMs: number,
  truth: Scene["truth"] | undefined,
): string {
  const reps = truth?.reps.length ?? 0;
  return [
    figure(clockText(microTurns * microTurnMs), `${microTurns} micro-turns`),
    figure(`${late}`, late === 1 ? "late step" : "late steps", late > 0 ? "bad" : "good"),
    figure(`${stepMs.p50.toFixed(1)} ms`, "median step"),
    figure(
      `${stepMs.p99.toFixed(1)} ms`,
      `99th percentile of ${microTurnMs}`,
      stepMs.p99 > microTurnMs / 2 ? "bad" : "",
    ),
    figure(`${played.length}`, "phrases spoken"),
    reps > 0 ? figure(`${reps}`, "repetitions to count") : "",
  ].join("");
}

function legend(hasTruth: boolean): string {
  const keys = [
    ["typed", "typed text, words heard"],
    ...(hasTruth
      ? [
          ["rep", "repetition complete"],
          ["person-speech", "person speaks"],
        ]
      : []),
    ["sees", "motion in the picture"],
    ["hears", "level at the microphone"],
    ["says", "spoken words"],
    ["step", "step time"],
  ];
  const items = keys.map(([style, words]) => {
    const swatch = element(
      "svg",
      { viewBox: "0 0 12 12", width: 12, height: 12 },
      element("rect", { width: 12, height: 12, rx: 3, class: style! }),
    );
    return `<span>${swatch} ${escapeText(words!)}</span>`;
  });
  return `<p class="legend">${items.join("")}</p>`;
}

const BARS = 40;

/** How often steps took how long, from 0 to the budget; the last bar holds what took longer. */
function distribution(stepMs: readonly number[], microTurnMs: number): string {
  const counts = new Array<number>(BARS + 1).fill(0);
  for (const ms of stepMs) counts[Math.min(BARS, Math.floor((ms / microTurnMs) * BARS))]!++;
  const most = Math.max(1, ...counts);
  const [width, height, foot] = [520, 120, 22];
  const step = width / counts.length;
  const bars = counts.map((count, i) => {
    // Square root: a few slow steps among thousands stay visible.
    const tall = count === 0 ? 0 : Math.max(2, Math.sqrt(count / most) * height);
    const from = ((i * microTurnMs) / BARS).toFixed(0);
    const box = {
      x: i * step + 0.5,
      y: height - tall,
      width: step - 1,
      height: tall,
      class: i === BARS ? "step late" : "step",
    };
    return element("rect", box, tooltip(`${count} steps from ${from} ms${i === BARS ? " up" : ""}`));
  });
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) =>
    label(`${(share * microTurnMs).toFixed(0)}${share === 1 ? " ms: budget" : ""}`, {
      x: share * BARS * step,
      y: height + foot - 6,
      class: share === 0 ? "tick first" : share === 1 ? "tick last" : "tick",
    }),
  );
  const base = element("line", { x1: 0, x2: width, y1: height, y2: height, class: "grid strong" });
  return element(
    "svg",
    {
      viewBox: `0 0 ${width} ${height + foot}`,
      class: "distribution",
      role: "img",
      "aria-label": "Distribution of step times",
    },
    [...bars, base, ...ticks].join(""),
  );
}

function transcript({ collector, played }: SessionRecord): string {
  const rows = [
    ...joinWords(played).map(({ startMs, text, whole }) => ({
      tMs: startMs,
      who: "says",
      text: `${text}${whole ? "" : " —"}`,
    })),
    ...collector.marks
      .filter(({ lane }) => lane !== "spoken")
      .map(({ tMs, lane, text }) => ({ tMs, who: lane === "typed" ? "typed" : "", text })),
  ].sort((a, b) => a.tMs - b.tMs);
  const cells = rows.map(
    ({ tMs, who, text }) =>
      `<tr class="${who}"><td>${clockText(tMs)}</td><td>${who}</td><td>${escapeText(text)}</td></tr>`,
  );
  return `<div class="transcript"><table>${cells.join("\n")}</table></div>`;
}
