import { describe, expect, test, vi } from "vitest";
import { isChatter, reportReader } from "../../../devices/media/player-reports.ts";

describe("what players say", () => {
  test("pacat tells what it has played", () => {
    const read = reportReader("pulse");
    expect(read("Time: 12.345 sec; Latency: 31234 usec.")).toEqual({ kind: "played", playedMs: 12_345 });
    expect(read("Stream started.")).toBeNull();
  });

  test("aplay tells what it and the device hold, and by its meter how much has left the full buffer", () => {
    const read = reportReader("alsa");
    // aplay 1.2.8 --verbose --vumeter=mono, on a plug above a device that runs at another rate.
    const setup = [
      "Plug PCM: Linear conversion PCM (S32_LE)",
      "Its setup is:",
      "  stream       : PLAYBACK",
      "  access       : RW_INTERLEAVED",
      "  format       : S16_LE",
      "  channels     : 1",
      "  rate         : 24000",
      "  exact rate   : 24000 (24000/1)",
      "  buffer_size  : 480",
    ];
    for (const line of setup) expect(read(line), line).toBeNull();
    expect(read("  period_size  : 120")).toEqual({ kind: "holds", holdsMs: 25 });
    for (const line of ["  rate         : 48000", "  buffer_size  : 960", "  period_size  : 240"])
      expect(read(line), line).toBeNull();
    const meter = "#+                                                 | 00%";
    // The first five: one is in its hands, four fill the buffer, and none has been played for certain.
    for (let i = 0; i < 5; i++) expect(read(meter)).toBeNull();
    expect(read(meter)).toEqual({ kind: "played", playedMs: 5 });
    expect(read(`${"#".repeat(50)}+| MAX`)).toEqual({ kind: "played", playedMs: 10 });
    expect(read("underrun!!! (at least 2.345 ms long)")).toBeNull();
    expect(read(meter)).toEqual({ kind: "played", playedMs: 15 });
  });

  test("pw-play tells where the graph's clock stood, and how long ago", () => {
    vi.spyOn(process.hrtime, "bigint").mockReturnValue(34_514_715_459_592n);
    const read = reportReader("pipewire");
    const tail = "delay:0 queued:256 buffered:32 buffers:1 avail:1";
    // pw-play 0.3.65 --verbose.
    expect(read(`stream time: now:34514712459592 rate:1/48000 ticks:48128 ${tail}`)).toEqual({
      kind: "pace",
      deviceMs: expect.closeTo(1002.667, 3),
      ageMs: 3,
    });
    expect(read(`stream time: now:0 rate:1/48000 ticks:0 ${tail}`)).toBeNull();
    expect(read("stream state changed paused -> streaming")).toBeNull();
    vi.restoreAllMocks();
  });

  test.each([
    ["aplay: main:830: audio open error: No such file or directory", false],
    ["underrun!!! (at least 2.345 ms long)", true],
    ['error: stream_error "no target node available"', false],
    ["stream state changed connecting -> paused", true],
    ["pa_stream_update_timing_info() failed: Timeout", true],
  ])("%s: chatter %s", (line, chatter) => {
    expect(isChatter(line)).toBe(chatter);
  });
});
