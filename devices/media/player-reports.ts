import type { SoundScheme } from "./sound-tools.ts";

/** What a player says of itself. */
export type PlayerReport =
  /** How much of all that it was given has been played, ms. */
  | { kind: "played"; playedMs: number }
  /** Where the device's clock stands, ms since any moment, and how long ago that was read: how fast it plays, not what. */
  | { kind: "pace"; deviceMs: number; ageMs: number }
  /** How much sound it and the device hold before any more is taken, ms. */
  | { kind: "holds"; holdsMs: number };

/** Reads one line of a player's stderr: null if it reports nothing. */
export type ReportReader = (line: string) => PlayerReport | null;

/** A reader for what the scheme's player writes while it plays. One for each run of the player. */
export function reportReader(scheme: SoundScheme): ReportReader {
  switch (scheme) {
    case "pulse":
      return pacatReport;
    case "alsa":
      return aplayReader();
    case "pipewire":
      return pwPlayReport;
  }
}

/**
 * True for a line that tells of no fault, of a player that was asked to say much. A busy PulseAudio server leaves a question
 * for the time unanswered.
 */
export function isChatter(line: string): boolean {
  return !/error|fail|invalid|denied/i.test(line) || line.startsWith("pa_stream_update_timing_info()");
}

/**
 * pacat --verbose, 20 times a second. It is the server's own account, with all buffers up to the device, and counts no
 * silence of the server's. It has the digits of a 32-bit float: 1 ms in the first hours, 8 ms after a day.
 */
function pacatReport(line: string): PlayerReport | null {
  const seconds = /^Time: (\d+\.\d+) sec;/.exec(line)?.[1];
  return seconds === undefined ? null : { kind: "played", playedMs: 1000 * Number(seconds) };
}

/**
 * aplay --verbose --vumeter. It first says how large the device's buffer and the periods are, and then draws its meter for
 * each period before it gives that to the device. While the device is full that happens when it has played one more: all
 * periods but the last are with the device, and a full buffer of them has not sounded.
 */
function aplayReader(): ReportReader {
  const setup = new Map<string, number>();
  let periods = 0;
  return (line) => {
    const [, name, value] = /^\s*(rate|buffer_size|period_size)\s*:\s*(\d+)/.exec(line) ?? [];
    // The first is what aplay talks to; the parts that this stands on follow.
    if (name !== undefined && !setup.has(name)) {
      setup.set(name, Number(value));
      return setup.size === 3 ? { kind: "holds", holdsMs: bufferMs() + periodMs() } : null;
    }
    if (!/^[#+ ]+\| *(\d+%|MAX)/.test(line)) return null;
    const playedMs = periods * periodMs() - bufferMs();
    periods++;
    return playedMs > 0 ? { kind: "played", playedMs } : null;
  };

  function periodMs(): number {
    return (1000 * setup.get("period_size")!) / setup.get("rate")!;
  }

  function bufferMs(): number {
    return (1000 * setup.get("buffer_size")!) / setup.get("rate")!;
  }
}

/**
 * pw-play --verbose, once a second: where the graph's clock stood, and when, by the system's monotonic clock (pw_time in
 * PipeWire's stream.h). The clock runs on while the stream has nothing to play.
 */
function pwPlayReport(line: string): PlayerReport | null {
  const [, now, numerator, denominator, ticks] =
    /^stream time: now:(\d+) rate:(\d+)\/(\d+) ticks:(\d+) /.exec(line) ?? [];
  if (ticks === undefined || now === "0") return null;
  const deviceMs = (1000 * Number(ticks) * Number(numerator)) / Number(denominator);
  return { kind: "pace", deviceMs, ageMs: Number(process.hrtime.bigint() - BigInt(now!)) / 1e6 };
}
