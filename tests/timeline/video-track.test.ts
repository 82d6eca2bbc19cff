import { describe, expect, test } from "vitest";
import type { VideoFrame } from "../../src/core/micro-turn.ts";
import { EventTrack } from "../../src/timeline/event-track.ts";
import { VideoTrack } from "../../src/timeline/video-track.ts";
import { seededRandom } from "./random.ts";

function frame(captureMs: number): VideoFrame {
  return { captureMs, width: 1, height: 1, rgb: new Uint8Array(3) };
}

describe("video track", () => {
  test.each([1, 2, 3])("random frames: each of %i parts gives the newest captured in it", (parts) => {
    const random = seededRandom(parts);
    const times = Array.from({ length: 60 }, () => random() * 2000).sort((a, b) => a - b);
    const track = new VideoTrack(200 / parts, parts);
    for (const time of times) track.write(frame(time));
    for (let turn = 0; turn < 10; turn++) {
      // The slow, obvious way: for each part all frames in it, of which the last.
      const expected = Array.from({ length: parts }, (_, part) => {
        const startMs = turn * 200 + (part * 200) / parts;
        return times.filter((time) => time >= startMs && time < startMs + 200 / parts).at(-1);
      }).filter((time) => time !== undefined);
      expect(track.take(parts).map((taken) => taken.captureMs)).toEqual(expected);
    }
    expect(track.dropped).toBe(0);
  });

  test("a frame on the boundary belongs to the part that it begins", () => {
    const track = new VideoTrack(100, 2);
    for (const time of [0, 100, 200]) track.write(frame(time));
    expect(track.take(2).map((taken) => taken.captureMs)).toEqual([0, 100]);
    // 0.3 s as a sum of tenths falls short of 300 ms by one rounding.
    track.write(frame(299.99999999999994));
    expect(track.take(2).map((taken) => taken.captureMs)).toEqual([200, 300]);
  });

  test("a frame for an interval that is over is dropped and counted", () => {
    const track = new VideoTrack(100, 2);
    track.take(2);
    track.write(frame(150));
    expect(track.take(2)).toEqual([]);
    expect(track.dropped).toBe(1);
  });

  test("a loop that stands keeps the newest 16 intervals", () => {
    const track = new VideoTrack(100, 2);
    for (let time = 0; time < 10_000; time += 100) track.write(frame(time));
    expect(track.take(100).map((taken) => taken.captureMs)).toEqual(
      Array.from({ length: 32 }, (_, i) => 6800 + 100 * i),
    );
    expect(track.dropped).toBe(68);
  });
});

describe("event track", () => {
  const text = (timeMs: number, words: string) => ({ kind: "text", timeMs, text: words }) as const;

  test("events come in the interval of their time, in order, those of one moment as they arrived", () => {
    const track = new EventTrack();
    track.write(text(250, "c"));
    track.write(text(100, "a"));
    track.write(text(100, "b"));
    track.write(text(200, "not yet"));
    expect(track.take(200).map((event) => event.timeMs)).toEqual([100, 100]);
    expect(track.take(400)).toEqual([text(200, "not yet"), text(250, "c")]);
  });

  test("an event that is known late comes with the next interval", () => {
    const track = new EventTrack();
    track.take(200);
    track.write(text(50, "late"));
    expect(track.take(400)).toEqual([text(50, "late")]);
  });

  test("holds 256 and refuses the rest, counted", () => {
    const track = new EventTrack();
    for (let i = 0; i < 300; i++) track.write(text(i, String(i)));
    expect(track.dropped).toBe(44);
    expect(track.take(1000)).toHaveLength(256);
  });
});
