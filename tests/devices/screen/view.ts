import type { ScreenView } from "../../../devices/screen/view.ts";

/** A view of a session in full swing; `changes` replace parts of it. */
export function staged(changes: Partial<ScreenView> = {}): ScreenView {
  const columns = Array.from({ length: 150 }, (_, k) => ({
    microTurn: 200 + k,
    levelDb: -60 + 30 * Math.abs(Math.sin(k / 7)),
    stepMs: k === 120 ? 260 : 30 + 25 * Math.abs(Math.sin(k / 3)),
    late: k === 120,
  }));
  return {
    tMs: 70_000,
    microTurnMs: 200,
    title: "native/counter on gpu (Example Adapter): real hardware",
    activity: "speaking",
    savings: ["lower-video-rate"],
    offline: true,
    recording: true,
    number: "12",
    captions: [
      { id: 1, by: "heard", tMs: 41_000, endMs: 41_000, text: "count my squats", unheard: "" },
      { id: 2, by: "said", tMs: 50_100, endMs: 50_500, text: "ten", unheard: "" },
      {
        id: 3,
        by: "said",
        tMs: 55_000,
        endMs: 56_000,
        text: "keep your back",
        unheard: "straight and your heels down",
      },
      { id: 4, by: "shown", tMs: 60_000, endMs: 60_000, text: "Set 2 of 3", unheard: "" },
      { id: 5, by: "said", tMs: 66_000, endMs: 66_400, text: "11", unheard: "" },
      { id: 6, by: "said", tMs: 69_700, endMs: null, text: "12", unheard: "" },
    ],
    tasks: [
      { task: "a", state: "result", about: "rest time", text: "Ninety seconds will do.", stale: true },
      {
        task: "b",
        state: "ask",
        about: "plan for next week",
        text: "How many days do you train?",
        stale: false,
      },
    ],
    devices: [
      { device: "file camera /srv/clips/squats.mp4", state: "ready", detail: "" },
      { device: "alsa microphone hw:1", state: "lost", detail: "unplugged" },
      { device: "reasoner", state: "lost", detail: "the broker does not answer" },
    ],
    columns,
    marks: [
      { lane: "typed", tMs: 41_000, text: "count my squats" },
      { lane: "spoken", tMs: 50_100, text: "ten" },
      { lane: "spoken", tMs: 55_000, text: "keep your back straight and your heels down" },
      { lane: "shown", tMs: 60_000, text: "Set 2 of 3" },
      { lane: "event", tMs: 64_400, text: "late" },
      { lane: "event", tMs: 65_000, text: "saves lower-video-rate" },
      { lane: "spoken", tMs: 69_700, text: "12" },
    ],
    late: 1,
    ...changes,
  };
}
