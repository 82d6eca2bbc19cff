import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { stringify } from "yaml";
import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { main } from "../../src/cli/program.ts";
import { record } from "../../src/cli/record.ts";
import { Recording } from "../../src/record/reader.ts";
import { CapturedIo } from "./io.ts";
import { temporaryFolder } from "./media.ts";
import { scriptedParts } from "./scripted-model.ts";

vi.setConfig({ testTimeout: 120_000 });

const SECRET = "planted-s3cret-0123456789";
const ADDRESS = `rtsp://admin:${SECRET}@192.0.2.1/stream`;
const folder = temporaryFolder();
const profilePath = join(folder, "profile.yaml");

beforeEach(() => {
  for (const name of ["MICROTURN_BROKER_PASSWORD", "MICROTURN_SCREEN_TOKEN", "MICROTURN_REASONER_KEY"])
    vi.stubEnv(name, SECRET);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

/** A network camera that gives one picture and then complains, as ffmpeg does, with its whole address. */
writeFileSync(
  profilePath,
  stringify({
    camera: `gst:rtspsrc location=${ADDRESS} user-pw=${SECRET} ! decodebin`,
    voice: "fake",
    devices: {
      camera: {
        width: 16,
        height: 16,
        command: ["sh", "-c", 'head -c 768 /dev/zero; sleep .5; echo "$0: refused" >&2; exit 1', ADDRESS],
      },
    },
    screen: { address: "127.0.0.1:0" },
  }),
);

test.each([[["config", "print", profilePath]], [["config", "print", profilePath, "--json"]]])(
  "a profile is printed without its secrets: %j",
  async (argv) => {
    const io = new CapturedIo();
    expect(await main(argv, io)).toBe(0);
    expect(io.stdout).toContain("rtsp://admin:***@192.0.2.1/stream");
    expect(io.stdout + io.stderr).not.toContain(SECRET);
  },
);

test("a recording and what is told of it hold none, not even in what a program complains of", async () => {
  const path = join(folder, "session.mcap");
  const io = new CapturedIo();
  const { command, rest } = findCommand(["record", profilePath, "--out", path, "--json"]);
  const running = record(parseInvocation(command, rest, io), scriptedParts());
  await vi.waitFor(() => expect(io.stdout).toContain('"state":"lost"'), { timeout: 60_000, interval: 50 });
  io.interrupt();
  expect(await running).toBe(0);
  const { profile } = (await Recording.open(path)).head;
  expect(profile.camera).toBe(
    "gst:rtspsrc location=rtsp://admin:***@192.0.2.1/stream user-pw=*** ! decodebin",
  );
  const lost = io.jsonLines().find(({ kind, state }) => kind === "device" && state === "lost");
  expect(lost).toMatchObject({ device: "camera gst", detail: "rtsp://admin:***@192.0.2.1/stream: refused" });
  expect(io.stdout + io.stderr).not.toContain(SECRET);
  const files = readdirSync(folder).filter((name) => name.endsWith(".mcap"));
  expect(files).toEqual(["session.mcap"]);
  for (const name of files) expect(readFileSync(join(folder, name)).includes(SECRET)).toBe(false);
});

test("the reasoner's password has no place in a profile", async () => {
  const path = join(folder, "link.yaml");
  writeFileSync(path, `reasoner: { link: "mqtts://mirror-1:${SECRET}@broker.example.com" }`);
  const io = new CapturedIo();
  expect(await main(["config", "check", path], io)).toBe(78);
  expect(io.stderr).toContain("reasoner.link: no user or password here: they stand in the environment");
  expect(io.stdout + io.stderr).not.toContain(SECRET);
});
