/** Colours, named once, for light and for dark. */
const COLOURS = `
:root { color-scheme: light dark; --paper: #f6f5f1; --card: #ffffff; --ink: #1d2126; --soft: #6a7078; --grid: #e6e4dd; --strong: #cfccc2;
  --typed: #7a4fbf; --rep: #d07a12; --person: #f0b866; --sees: #9db9c9; --hears: #8fb39a; --says: #1f6feb; --step: #8a8f98; --bad: #c8332b; --good: #2b8a4b; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --card: #1c2026; --ink: #e8e6e1; --soft: #969ca5; --grid: #272c33; --strong: #3a414a;
  --typed: #b794f4; --rep: #f2a541; --person: #8a6a35; --sees: #4c6b7d; --hears: #4f7a5d; --says: #4d8df5; --step: #767d87; --bad: #f0665e; --good: #58b877; } }
`;

/** What is drawn in the timeline. */
const MARKS = `
svg text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
svg .lane-name { text-anchor: end; fill: var(--soft); }
svg .tick { text-anchor: middle; fill: var(--soft); font-size: 11px; } svg .tick.first { text-anchor: start; } svg .tick.last { text-anchor: end; }
.grid { stroke: var(--grid); stroke-width: 1; } .grid.strong { stroke: var(--strong); }
.typed { fill: var(--typed); } svg .typed.words { font-weight: 600; fill: var(--typed); }
.event { fill: var(--bad); } svg .event.words { fill: var(--soft); font-size: 11px; }
.rep { fill: var(--rep); } .person-speech { fill: var(--person); }
.sees { fill: var(--sees); } .hears { fill: var(--hears); }
.says { fill: var(--says); } .says.cut { fill-opacity: 0.45; stroke: var(--says); stroke-dasharray: 3 2; }
svg .said { text-anchor: middle; fill: #ffffff; font-weight: 600; paint-order: stroke; stroke: var(--says); stroke-width: 4px; stroke-linejoin: round; }
svg .said.below { text-anchor: start; fill: var(--says); stroke: none; font-size: 11px; } svg .said.below.last { text-anchor: end; }
.step { fill: var(--step); } .step.late { fill: var(--bad); }
.budget { stroke: var(--bad); stroke-width: 1; } .budget.half { stroke-dasharray: 2 4; opacity: 0.5; }
svg .budget-name { text-anchor: end; font-size: 10px; fill: var(--bad); }
`;

/** The page around it. */
const PAGE = `
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 36px 24px 64px; }
h1 { font-size: 27px; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 16px; margin: 32px 0 10px; }
header p { margin: 4px 0 0; color: var(--soft); }
.figures { display: flex; flex-wrap: wrap; gap: 12px; margin: 24px 0 8px; }
.figure { background: var(--card); border: 1px solid var(--grid); border-radius: 10px; padding: 12px 18px; flex: 1 1 140px; }
.figure b { display: block; font-size: 23px; font-weight: 600; font-variant-numeric: tabular-nums; }
.figure span { color: var(--soft); font-size: 13px; }
.figure.good b { color: var(--good); } .figure.bad b { color: var(--bad); }
.findings { margin: 16px 0 0; padding-left: 20px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--soft); font-size: 13px; margin: 0 0 10px; }
.legend svg { vertical-align: -1px; }
svg { display: block; width: 100%; height: auto; } .legend svg { display: inline; width: 12px; }
.stave { background: var(--card); border: 1px solid var(--grid); border-radius: 10px; margin-bottom: 12px; padding-right: 8px; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(360px, 1fr)); gap: 0 40px; }
.transcript { max-height: 420px; overflow-y: auto; border: 1px solid var(--grid); border-radius: 10px; background: var(--card); }
table { width: 100%; border-collapse: collapse; } td { padding: 3px 12px; border-top: 1px solid var(--grid); vertical-align: top; }
td:first-child { color: var(--soft); font-variant-numeric: tabular-nums; width: 1%; white-space: nowrap; } td:nth-child(2) { color: var(--soft); width: 1%; }
tr.typed td:last-child { color: var(--typed); } tr.says td:last-child { color: var(--says); font-weight: 600; }
@media print { .transcript { max-height: none; } .stave { break-inside: avoid; } }
`;

/** For the report. */
export const PAGE_STYLE = COLOURS + PAGE + MARKS;

/** For a picture that stands alone. */
export const PICTURE_STYLE = `${COLOURS}.paper { fill: var(--paper); } .card { fill: var(--card); }${MARKS}`;
