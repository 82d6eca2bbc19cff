import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { stringify } from "yaml";
import type { ScreenView } from "../../devices/screen/view.ts";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { parseInvocation } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import type { Parts } from "../../src/cli/parts.ts";
import { profileFrom } from "../../src/cli/profile-options.ts";
import { run } from "../../src/cli/run.ts";
import { CapturedIo } from "./io.ts";
import { makeTone, makeVideo, temporaryFolder } from "./media.ts";
import { scriptedParts } from "./scripted-model.ts";

const PATIENCE = { timeout: 60_000, interval: 50 };
const command = COMMANDS.find(({ name }) => name === "run")!;
const folder = temporaryFolder();
const clip = join(folder, "clip.mp4");
const sound = join(folder, "sound.wav");
const invocation = (...argv: string[]) => parseInvocation(command, argv, new CapturedIo());

beforeAll(() => {
  makeVideo(clip, 6);
  makeTone(sound, { fromS: 4, toS: 5, seconds: 6 });
});

describe("--screen", () => {
  test.each([
    [["--screen"], "127.0.0.1:8420"],
    [["--screen", "--json"], "127.0.0.1:8420"],
    [["--screen", "[::1]:80"], "[::1]:80"],
    [["--screen=0"], "0"],
    [["--screen", "none"], "none"],
    [[], "none"],
  ])("%j listens on %s", async (argv, address) => {
    expect((await profileFrom(invocation(...argv))).screen).toEqual({ address, picture: true });
  });

  test("leaves a profile that follows alone", () => {
    expect(invocation("--screen", "mirror.yaml").positionals).toEqual(["mirror.yaml"]);
    expect(invocation("mirror.yaml", "--screen").values.screen).toBe("127.0.0.1:8420");
  });

  test.each([
    ["localhost", 2],
    ["0.0.0.0:0", 78],
    ["no-such-host.invalid:1", 69],
  ])("%s ends with %i, the model closed", async (address, exitCode) => {
    const parts = scriptedParts();
    await expect(run(invocation("--duration", "1", "--screen", address), parts)).rejects.toMatchObject({
      exitCode,
    });
    expect(await parts.loadModel({} as never)).toMatchObject({ closed: true });
  });

  test("a port in use ends with 69 before the session begins", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const given = invocation("--duration", "1", "--screen", address);
    await expect(run(given, scriptedParts())).rejects.toMatchObject({ exitCode: 69 });
    expect((given.io as CapturedIo).stdout).toBe("");
    other.close();
  });
});

/** Talks until someone is loud, in mid-word, and counts meanwhile. */
const SCENE = [
  ...["--camera", `file:${clip}`, "--microphone", `file:${sound}`],
  ...["--text", "0:count", "--text", "1:talk", "--clock", "virtual", "--json"],
];

/** What a session prints, without what the machine decides: its own times. */
async function told(
  parts: Parts,
  watch: (url: string) => Promise<void>,
  ...argv: string[]
): Promise<Record<string, unknown>[]> {
  const given = invocation(...SCENE, ...argv);
  const io = given.io as CapturedIo;
  // The session waits for its speaker until whoever watches is there.
  let ready = Promise.resolve();
  const watching: Parts = {
    ...parts,
    async loadModel(profile) {
      const model = await parts.loadModel(profile);
      return Object.assign(Object.create(model), {
        reset: async () => {
          const url = /screen: (\S+)\/ for/.exec(io.stderr)?.[1];
          if (url !== undefined) ready = watch(url);
          await ready;
          await model.reset();
        },
        perception: model.perception,
        description: model.description,
        step: model.step.bind(model),
        close: model.close.bind(model),
      });
    },
    speaker: (_, clock) => new NullSpeaker(clock),
  };
  expect(await run({ ...given, io }, watching)).toBe(0);
  return io.jsonLines().map(({ stepMs, ...line }) => line);
}

describe("a session with a screen", () => {
  test("shows what really sounded, and in the end that it has ended", async () => {
    const views: ScreenView[] = [];
    let gone: Promise<unknown> = Promise.resolve();
    const watch = async (url: string) => {
      const socket = new WebSocket(`${url.replace("http", "ws")}/live`);
      socket.on("message", (data: Buffer, isBinary: boolean) => {
        if (isBinary) return;
        views.push(JSON.parse(data.toString()));
        socket.send(JSON.stringify({ ack: JSON.parse(data.toString()).sheet }));
      });
      gone = once(socket, "close");
      await once(socket, "open");
    };
    const lines = await told(scriptedParts(), watch, "--screen", "0");
    await gone;
    const last = views.at(-1)!;
    expect(last).toMatchObject({ activity: "ended", microTurnMs: 200 });
    expect(last.captions.filter(({ by }) => by === "heard").map(({ text }) => text)).toEqual([
      "count",
      "talk",
    ]);

    const began = lines.filter(({ kind }) => kind === "speech");
    const yielded = lines.find(({ kind, name }) => kind === "action" && name === "yield")!;
    const said = last.captions.filter(({ by }) => by === "said");
    expect(said.map(({ tMs }) => tMs)).toEqual(began.map(({ tMs }) => tMs));
    for (const [k, { text, unheard, endMs }] of said.entries()) {
      // A word of the fake voice is over or cut; what begins a word and does not end it was not heard.
      const cut = endMs === yielded.tMs;
      expect({ text, unheard }).toEqual(
        cut ? { text: "", unheard: began[k]!.text } : { text: began[k]!.text, unheard: "" },
      );
    }
    expect(said.filter(({ unheard }) => unheard !== "")).toHaveLength(1);
    expect(last.number).toBe(began.filter(({ text }) => /\d/.test(String(text))).at(-1)!.text);
    expect(last.columns.length).toBeGreaterThan(25);
    expect(last.devices.map(({ state }) => state)).toEqual(["ended", "ended"]);
  });

  test("tells of a camera that is lost and comes back, and so does --json", {
    timeout: 120_000,
  }, async () => {
    const profile = join(folder, "unplugged.yaml");
    const plug = join(folder, "plugged-in");
    writeFileSync(plug, "");
    const script = 'while [ -e "$0" ]; do head -c 768 /dev/zero; sleep .1; done; echo gone >&2; exit 1';
    const command = ["sh", "-c", script, plug];
    writeFileSync(
      profile,
      stringify({
        camera: "v4l2:/dev/video7",
        devices: { camera: { width: 16, height: 16, command } },
        voice: "fake",
        screen: { address: "0" },
      }),
    );
    const given = invocation(profile, "--json");
    const io = given.io as CapturedIo;
    const running = run(given, scriptedParts());
    await vi.waitFor(() => expect(io.stderr).toContain("screen: "), PATIENCE);
    const url = /screen: (\S+)\/ for/.exec(io.stderr)![1]!;
    const shown = new Set<string>();
    let microTurns = 0;
    const socket = new WebSocket(`${url.replace("http", "ws")}/live`);
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) return;
      const view: ScreenView & { sheet: number } = JSON.parse(data.toString());
      for (const { device, state } of view.devices) shown.add(`${device} ${state}`);
      microTurns = view.columns.length;
      socket.send(JSON.stringify({ ack: view.sheet }));
    });
    const [lost, ready] = ["lost", "ready"].map((state) => `camera v4l2:/dev/video7 ${state}`);
    // The page is there before the camera is: one that is missing from the start would end the session.
    await vi.waitFor(() => expect(microTurns).toBeGreaterThan(0), PATIENCE);
    rmSync(plug);
    await vi.waitFor(() => expect([...shown]).toEqual([lost]), PATIENCE);
    writeFileSync(plug, "");
    await vi.waitFor(() => expect([...shown]).toEqual([lost, ready]), PATIENCE);
    io.interrupt();
    expect(await running).toBe(0);
    const told = io.jsonLines().filter(({ kind }) => kind === "device");
    expect(told.map(({ device, state }) => `${device} ${state}`).slice(0, 2)).toEqual([lost, ready]);
    expect(told[0]).toMatchObject({ detail: "gone" });
    expect(told[1]).toMatchObject({ detail: expect.stringMatching(/^back after/) });
  });

  test("tells the same, to the millisecond, with browsers that never read as without a screen", async () => {
    const stall = async (url: string) => {
      for (let k = 0; k < 8; k++) {
        const socket = connect(Number(new URL(url).port), "127.0.0.1");
        socket.on("error", () => {});
        await once(socket, "connect");
        socket.write(
          "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
      }
    };
    const alone = await told(scriptedParts(), async () => {});
    const watched = await told(scriptedParts(), stall, "--screen", "0");
    expect(alone.length).toBeGreaterThan(10);
    expect(watched).toEqual(alone);
  });
});
