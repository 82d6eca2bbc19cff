import { Counter, Gauge, type Registry } from "prom-client";

/** The echo between an open microphone and an open speaker. */
export interface EchoFigures {
  /** As the self-test measured it; null if no echo was heard. */
  delayMs: number | null;
  returnLossDb: number | null;
  /** By how much the echo of late was made fainter, dB; null while there was none. */
  enhancementDb(): number | null;
}

/** Figures of a running session that are read when somebody asks; what a session lacks is left out. */
export interface SessionGauges {
  standing(): {
    gaps: { count: number; totalMs: number };
    dropped: Readonly<Record<string, number>>;
    waiting: Readonly<Record<string, number>>;
    microphoneDrift: number;
  };
  /** How often the speaker ran dry in the middle of a phrase. */
  underruns(): number;
  /** By how much a live speaker's clock is slower than the session's. */
  speakerDrift(): number;
  echo?: EchoFigures;
  /** What the line to the board has counted. */
  serial?: () => object;
  /** What waits to be recorded, bytes. */
  recordingBytes?: () => number;
}

interface Series {
  kind: typeof Counter | typeof Gauge;
  name: string;
  help: string;
  /** Name of the label by which `read` gives several values. */
  label?: string;
  read: () => number | object;
}

/** Adds a session's gauges to a registry, to be read with each scrape. For one session. */
export function watchSession(registry: Registry, gauges: SessionGauges): void {
  for (const { kind: Kind, name, help, label, read } of seriesOf(gauges)) {
    new Kind({
      name: `microturn_${name}`,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [registry],
      collect() {
        // What is read is the whole, and not what came since.
        this.reset();
        const value = read();
        if (typeof value === "number") this.inc(value);
        else for (const [key, one] of Object.entries(value)) this.inc({ [label ?? ""]: key }, Number(one));
      },
    });
  }
}

function seriesOf({
  standing,
  underruns,
  speakerDrift,
  echo,
  serial,
  recordingBytes,
}: SessionGauges): Series[] {
  const series: Series[] = [
    {
      kind: Counter,
      name: "audio_gaps_total",
      help: "Gaps in the microphone's sound",
      read: () => standing().gaps.count,
    },
    {
      kind: Counter,
      name: "audio_gap_seconds_total",
      help: "Silence put in their place",
      read: () => standing().gaps.totalMs / 1000,
    },
    {
      kind: Gauge,
      name: "microphone_drift_ratio",
      help: "By how much a live microphone's clock is slower than the session's",
      read: () => standing().microphoneDrift,
    },
    {
      kind: Gauge,
      name: "speaker_drift_ratio",
      help: "By how much a live speaker's clock is slower than the session's",
      read: speakerDrift,
    },
    {
      kind: Counter,
      name: "speaker_underruns_total",
      help: "Times that the speaker ran dry in the middle of a phrase",
      read: underruns,
    },
    {
      kind: Counter,
      name: "dropped_total",
      help: "What queues dropped by their policies",
      label: "what",
      read: () => standing().dropped,
    },
    {
      kind: Gauge,
      name: "queue_items",
      help: "Events that wait for their micro-turn, phrases that have not sounded to their end",
      label: "queue",
      read: () => standing().waiting,
    },
  ];
  if (recordingBytes) {
    const help = "What waits to be recorded";
    series.push({ kind: Gauge, name: "recording_queue_bytes", help, read: recordingBytes });
  }
  if (serial) {
    const help = "What the line to the board has counted";
    series.push({ kind: Counter, name: "serial_total", help, label: "what", read: serial });
  }
  if (echo) series.push(...echoSeries(echo));
  return series;
}

/** What is not known is NaN, as 0 dB would be a figure. */
function echoSeries({ delayMs, returnLossDb, enhancementDb }: EchoFigures): Series[] {
  return [
    {
      kind: Gauge,
      name: "echo_delay_seconds",
      help: "From a sound to its echo, by the self-test",
      read: () => (delayMs ?? Number.NaN) / 1000,
    },
    {
      kind: Gauge,
      name: "echo_return_loss_db",
      help: "How much fainter the echo came than it was played, by the self-test",
      read: () => returnLossDb ?? Number.NaN,
    },
    {
      kind: Gauge,
      name: "echo_enhancement_db",
      help: "How much fainter the canceller makes the echo of late",
      read: () => enhancementDb() ?? Number.NaN,
    },
  ];
}
