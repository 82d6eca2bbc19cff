import { test } from "vitest";
import { expectFollowed } from "../devices/live/drift.ts";
import { expectInPlace } from "../devices/live/speaker-drift.ts";

test.each([{ driftPpm: 200 }, { driftPpm: -200 }])(
  "an hour at $driftPpm ppm: aligned all the way, without a click",
  async ({ driftPpm }) => {
    const figures = await expectFollowed({ driftPpm, captureHz: 2000, seconds: 3600 });
    console.log(JSON.stringify({ driftPpm, ...figures }));
  },
  1_200_000,
);

test.each([{ driftPpm: 200 }, { driftPpm: -200 }])(
  "an hour of speech on a speaker at $driftPpm ppm: in its place all the way, without a click",
  async ({ driftPpm }) => {
    console.log(JSON.stringify({ driftPpm, ...(await expectInPlace({ driftPpm, seconds: 3600 })) }));
  },
  1_200_000,
);
