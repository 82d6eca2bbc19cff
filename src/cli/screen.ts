import { TOKEN_VARIABLE } from "../../devices/screen/access.ts";
import { Screen } from "../../devices/screen/screen.ts";
import { ScreenState } from "../../devices/screen/state.ts";
import { TIMELINE_MS } from "../../devices/screen/view.ts";
import type { Profile } from "../config/profile.ts";
import type { InteractionModel } from "../core/model.ts";
import type { SessionEvent, SessionObserver, StepRecord } from "../runtime/events.ts";
import { Collector } from "./view/collector.ts";

/** The screen of one session. */
export class SessionScreen implements SessionObserver {
  readonly #screen: Screen;
  readonly #state: ScreenState;
  readonly #timeline: Collector;

  /**
   * Opens the page at the address of the profile, which is not "none".
   * @param title the model, the backend and why.
   * @throws RuntimeError "device-unavailable" for a port in use, "invalid-configuration" if a token is missing.
   */
  static async open(profile: Profile, model: InteractionModel, title: string): Promise<SessionScreen> {
    const { address, picture } = profile.screen;
    const { microTurnMs } = model.perception;
    const state = new ScreenState({ title, microTurnMs });
    const timeline = new Collector(Math.ceil(TIMELINE_MS / microTurnMs));
    const screen = await Screen.open({
      address,
      picture,
      token: process.env[TOKEN_VARIABLE] ?? null,
      view: () => state.view(timeline),
    });
    return new SessionScreen(screen, state, timeline);
  }

  private constructor(screen: Screen, state: ScreenState, timeline: Collector) {
    this.#screen = screen;
    this.#state = state;
    this.#timeline = timeline;
  }

  get url(): string {
    return this.#screen.url;
  }

  step(record: StepRecord): void {
    const { inputs, savings, late } = record;
    this.#timeline.step(record);
    for (const event of inputs.flatMap((input) => input.events)) this.#state.input(event);
    const { startMs, durationMs } = inputs.at(-1)!;
    this.#state.stepped(startMs + durationMs, savings, late);
    const frame = inputs.flatMap((input) => input.frames).at(-1);
    if (frame !== undefined) this.#screen.picture(frame);
    this.#screen.update();
  }

  event(event: SessionEvent): void {
    this.#timeline.event(event);
    const { captions } = this.#state;
    switch (event.kind) {
      case "speech":
        captions.began(event.tMs, event.text);
        break;
      case "yield":
        captions.flushed(event.tMs);
        break;
      case "text":
        captions.add("shown", event.tMs, event.text);
        break;
      case "device":
        this.#state.device(event.device, event.state, event.detail);
        break;
      case "end":
        this.#state.ended(event.tMs);
        break;
    }
    this.#screen.update();
  }

  close(): Promise<void> {
    return this.#screen.close();
  }
}
