import { describe, expect, test } from "vitest";
import { main } from "../../src/cli/program.ts";
import { Peer, pcm16 } from "../serve/peer.ts";
import { chirp } from "../serve/sound.ts";
import { CapturedIo } from "./io.ts";
import { serving } from "./serving.ts";

async function talk(url: string, query = ""): Promise<void> {
  const peer = await new Peer(url, `?format=pcm_s16le${query}`).ready();
  peer.stream(pcm16(chirp(0.4)), 4000);
  await peer.until(() => peer.audio.length === 4);
  peer.socket.close();
  await peer.ended;
}

describe("microturn serve", () => {
  test("serves until Ctrl-C and tells of every client, as JSON", async () => {
    const { io, status } = await serving(["--model", "fake", "--json"], async (url) => {
      await talk(url);
      expect((await new Peer(url, "?seed=x").ended).code).toBe(400);
    });
    expect(status).toBe(0);
    expect(io.stderr).toBe("");
    const lines = io.jsonLines();
    expect(lines[0]).toMatchObject({ kind: "listening", model: "fake" });
    expect(lines.find(({ kind }) => kind === "ended")).toMatchObject({
      reason: "the client left",
      steps: 5,
      lateSteps: expect.any(Number),
    });
    expect(lines.find(({ kind }) => kind === "refused")).toMatchObject({
      reason: expect.stringContaining("seed"),
    });
  });

  test("and for a person, without what was said", async () => {
    const { io } = await serving(["--model", "fake"], (url) => talk(url, "&text_prompt=SECRET"));
    expect(io.stdout).toBe("");
    expect(io.stderr).toContain("serve: fake at http://127.0.0.1:");
    expect(io.stderr).toMatch(/has gone \(the client left\): [\d.]+ s, 5 steps, \d late/);
    expect(io.stderr).not.toContain("SECRET");
  });

  test("takes the token of the environment, or of the command line", async () => {
    const token = "0123456789abcdef";
    const wanted = async (url: string) => {
      expect((await new Peer(url).ended).code).toBe(401);
      await talk(url, `&token=${token}`);
    };
    const { io } = await serving(["--model", "fake"], wanted, { MICROTURN_SERVE_TOKEN: token });
    expect(io.stderr).not.toContain(token);
    await serving(["--model", "fake", "--token", token], wanted);
  });

  test.each([
    [["serve"], 2, "--model: is missing"],
    [["serve", "--model", "other"], 2, "'other' is none that can be served"],
    [["serve", "--model", "fake", "--queue", "-1"], 2, "--queue"],
    [["serve", "--model", "fake", "--idle", "0"], 2, "--idle"],
    [["serve", "--model", "fake", "--address", "nowhere"], 2, "is not HOST:PORT"],
    [["serve", "--model", "fake", "--address", "0.0.0.0:0", "--token", "short"], 78, "token"],
  ])("%j ends with %d: %s", async (argv, status, problem) => {
    const io = new CapturedIo();
    expect(await main(argv, io)).toBe(status);
    expect(io.stderr).toContain(problem);
  });
});
