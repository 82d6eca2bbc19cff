import { test } from "vitest";
import { expectFollowed } from "./drift.ts";
import { expectInPlace } from "./speaker-drift.ts";

test.each([
  { driftPpm: 200, captureHz: 2000, seconds: 30 },
  { driftPpm: -200, captureHz: 3675, seconds: 30 },
  // So far off that chunks end at every place of a micro-turn.
  { driftPpm: 900, captureHz: 2000, seconds: 60 },
])(
  "a microphone whose clock is off by $driftPpm ppm at $captureHz Hz is followed without a click",
  async (given) => {
    await expectFollowed(given);
  },
);

test.each([
  { driftPpm: 200, seconds: 60 },
  { driftPpm: -200, seconds: 60 },
  { driftPpm: 900, seconds: 60 },
])(
  "a phrase on a speaker whose clock is off by $driftPpm ppm keeps its place, without a click",
  async (given) => {
    console.log(JSON.stringify({ ...given, ...(await expectInPlace(given)) }));
  },
);
