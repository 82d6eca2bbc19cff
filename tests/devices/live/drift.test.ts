import { describe, test } from "vitest";
import { expectFollowed } from "./drift.ts";
import { MeteringPlayer } from "./metering-player.ts";
import { PacingPlayer, type PlayerOptions } from "./reporting-player.ts";
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

describe.each([
  { name: "that says what it has played", make: undefined, worstPpm: 900 },
  {
    name: "that draws a meter, as aplay does",
    make: (options: PlayerOptions) => new MeteringPlayer(options),
    worstPpm: 900,
  },
  {
    name: "that says where its clock stands, as pw-play does",
    make: (options: PlayerOptions) => new PacingPlayer(options),
    // It says so once a second: until 10 s have been measured it stands off its place by what drifts in four.
    worstPpm: 500,
  },
])("a speaker $name", ({ make, worstPpm }) => {
  test.each([200, -200, worstPpm])(
    "off by %i ppm keeps a phrase in its place, without a click",
    async (driftPpm) => {
      const given = { driftPpm, seconds: 60 };
      console.log(JSON.stringify({ ...given, ...(await expectInPlace(given, make)) }));
    },
  );
});
