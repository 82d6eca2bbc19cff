import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { ListedDevice } from "../listed-device.ts";

/** A sound system that does not answer is not waited for, ms. */
const ANSWER_MS = 3000;

/** The answer of a program, "" if it is missing or fails. */
export type Ask = (command: string, args: readonly string[]) => Promise<string>;

const askSystem: Ask = (command, args) =>
  promisify(execFile)(command, [...args], { timeout: ANSWER_MS, env: { ...process.env, LC_ALL: "C" } }).then(
    ({ stdout }) => stdout,
    () => "",
  );

/** The microphones or speakers of this machine: those of the sound server, and the sound cards themselves. */
export async function listSound(
  kind: "microphone" | "speaker",
  ask: Ask = askSystem,
): Promise<ListedDevice[]> {
  const [serverKind, program] = kind === "microphone" ? ["sources", "arecord"] : ["sinks", "aplay"];
  const server = await ask("pactl", ["list", "short", serverKind]);
  const cards = await ask(program, ["-l"]);
  return [...serverDevices(server), ...cardDevices(cards)];
}

/** Lines of `pactl list short`: number, name, driver, form, state, set apart by tabs. */
function serverDevices(answer: string): ListedDevice[] {
  const names = answer.split("\n").map((line) => line.split("\t")[1] ?? "");
  return names
    .filter((name) => name !== "")
    .map((name) => ({
      path: `pulse:${name}`,
      name: name.endsWith(".monitor") ? "what a speaker plays" : "sound server",
      state: "ok",
    }));
}

/** Lines of `arecord -l`: "card 1: Device [USB Audio Device], device 0: USB Audio [USB Audio]". */
function cardDevices(answer: string): ListedDevice[] {
  const lines = answer.matchAll(/^card \d+: (\S+) \[(.*?)\], device (\d+): .*?\[(.*?)\]$/gm);
  return [...lines].map(([, card, cardName, device, deviceName]) => ({
    // By the card's name: numbers change from start to start. `plug` converts rates and channels.
    path: `alsa:plughw:CARD=${card},DEV=${device}`,
    name: `${cardName}, ${deviceName}`,
    state: "ok",
  }));
}
