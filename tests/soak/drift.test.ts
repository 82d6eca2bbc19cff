import { test } from "vitest";
import { expectFollowed } from "../devices/live/drift.ts";

test.each([{ driftPpm: 200 }, { driftPpm: -200 }])(
  "an hour at $driftPpm ppm: aligned all the way, without a click",
  async ({ driftPpm }) => {
    const figures = await expectFollowed({ driftPpm, captureHz: 2000, seconds: 3600 });
    console.log(JSON.stringify({ driftPpm, ...figures }));
  },
  1_200_000,
);
