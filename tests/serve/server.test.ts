import { get } from "node:http";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { RuntimeError } from "../../src/core/errors.ts";
import { FakeEngine } from "../../src/serve/fake-engine.ts";
import { ModelServer, type ServeEvent, type ServeOptions } from "../../src/serve/server.ts";
import { decoded, oggOpusOf } from "./ffmpeg.ts";
import { Peer, pcm16 } from "./peer.ts";
import { randomBytes, seeded } from "./random.ts";
import { gate, ScriptedEngine } from "./scripted-engine.ts";
import { chirp, joined, likeness } from "./sound.ts";

const FRAME_BYTES = 2 * 1920;
const servers: ModelServer[] = [];
const peers: Peer[] = [];

async function serverOf(options: Partial<ServeOptions> = {}): Promise<{
  server: ModelServer;
  events: ServeEvent[];
  ended: () => Promise<ServeEvent & { kind: "ended" }>;
}> {
  const events: ServeEvent[] = [];
  let wake = () => {};
  const server = await ModelServer.open({
    address: "127.0.0.1:0",
    token: null,
    origins: [],
    queue: 0,
    engine: new FakeEngine(),
    log: { write: () => {} },
    told: (event) => {
      events.push(event);
      wake();
    },
    ...options,
  });
  servers.push(server);
  const ended = async () => {
    for (;;) {
      const last = events.findLast((event) => event.kind === "ended");
      if (last !== undefined) return last;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { server, events, ended };
}

function peerOf(server: ModelServer, query = "", headers: Record<string, string> = {}): Peer {
  const peer = new Peer(server.url, query, headers);
  peers.push(peer);
  return peer;
}

afterEach(async () => {
  for (const { socket } of peers.splice(0)) socket.terminate();
  for (const server of servers.splice(0)) await server.close();
});

describe("a conversation", () => {
  test("in Opus: the model hears what the client sent, the client what the model said, and its words", async () => {
    const said = chirp(2.4, 0.3).reverse();
    const engine = new ScriptedEngine((frame) => ({
      pcm: said.subarray(1920 * frame, 1920 * (frame + 1)),
      text: frame % 10 === 0 ? ` wörd${frame}` : "",
    }));
    const { server } = await serverOf({ engine });
    const peer = await peerOf(server).ready();
    expect([...peer.handshake!]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    const sent = chirp(2.4);
    // Pages of the published web client: two packets of 20 ms. Cut without regard to pages.
    peer.stream(oggOpusOf(sent, { frameMs: 20, pageMs: 40 }), 333);
    await peer.until(() => engine.heard.length === 30 || peer.audio.length === 30);
    await peer.until(() => peer.audio.length === 30);

    const hearing = likeness(sent, joined(engine.heard), 20);
    expect(hearing.correlation).toBeGreaterThan(0.97);
    expect(Math.abs(hearing.gainDb)).toBeLessThan(0.5);
    expect(Math.abs(hearing.lag)).toBeLessThanOrEqual(1);
    const saying = likeness(said, decoded(Buffer.concat(peer.audio)), 20);
    expect(saying.correlation).toBeGreaterThan(0.97);
    expect(Math.abs(saying.gainDb)).toBeLessThan(0.5);
    expect(Math.abs(saying.lag)).toBeLessThanOrEqual(1);
    expect(peer.text).toBe(" wörd0 wörd10 wörd20");
    expect(peer.kinds.filter((kind) => kind !== 6).slice(0, 4)).toEqual([0, 4, 1, 2]);
    expect(peer.metadata).toEqual([
      {
        server: "microturn",
        model: "scripted",
        format: "opus",
        sampleRateHz: 24_000,
        frameSamples: 1920,
        options: {},
      },
    ]);
  });

  test("in raw samples, to the bit, in frames of 1920 however they are cut; half a frame waits", async () => {
    const { server, ended } = await serverOf();
    const peer = await peerOf(server, "?format=pcm_s16le").ready();
    const sent = pcm16(chirp(1.04));
    // The first samples are taken in by themselves, so that what follows does not fall on the bounds of frames.
    peer.send(1, sent.subarray(0, 200));
    peer.socket.ping();
    await new Promise((resolve) => peer.socket.once("pong", resolve));
    peer.stream(sent.subarray(200), 1001);
    await peer.until(() => peer.text === " 0 1");
    peer.socket.close();
    expect((await ended()).account).toMatchObject({ steps: 13 });
    expect(Buffer.concat(peer.audio).equals(sent.subarray(0, 12 * FRAME_BYTES))).toBe(true);
  });

  test("hands options on, ends after max_steps, and begins anew when asked", async () => {
    const engine = new ScriptedEngine();
    const { server, events } = await serverOf({ engine });
    const peer = await peerOf(
      server,
      "?format=pcm_s16le&max_steps=3&text_seed=7&voice_prompt=NATF0.pt",
    ).ready();
    expect(engine.opened).toEqual([{ textSeed: 7, voicePrompt: "NATF0.pt" }]);
    await peer.until(() => peer.metadata.length > 0);
    expect(peer.metadata[0]).toMatchObject({ options: { textSeed: 7, voicePrompt: "NATF0.pt" } });
    peer.send(1, new Uint8Array(FRAME_BYTES));
    await peer.until(() => peer.text === ".");
    peer.send(3, Uint8Array.of(3));
    peer.stream(new Uint8Array(5 * FRAME_BYTES), FRAME_BYTES);
    expect(await peer.ended).toEqual({ code: 1000, reason: "the session is over" });
    expect(engine).toMatchObject({ resets: 1, closed: 1 });
    expect(engine.heard).toHaveLength(3);
    expect(peer.errors).toEqual([]);
    expect(events.map(({ kind }) => kind)).toEqual(["began", "ended"]);
  });

  test("counts the steps that take longer than their sound", async () => {
    let nowMs = 0;
    const engine = new ScriptedEngine((frame) => {
      nowMs += frame % 2 === 0 ? 80 : 81;
      return { pcm: null, text: "." };
    });
    const { server, ended } = await serverOf({ engine, nowMs: () => nowMs });
    const peer = await peerOf(server, "?format=pcm_s16le").ready();
    peer.stream(new Uint8Array(6 * FRAME_BYTES), FRAME_BYTES);
    await peer.until(() => peer.text.length === 6);
    peer.socket.close();
    expect((await ended()).account).toMatchObject({ steps: 6, lateSteps: 3 });
  });

  test("sound before the handshake is dropped and counted", async () => {
    const engine = new ScriptedEngine();
    const opening = gate();
    engine.opening = () => opening.passed;
    const { server, ended } = await serverOf({ engine });
    const peer = peerOf(server, "?format=pcm_s16le");
    await new Promise((resolve) => peer.socket.once("open", resolve));
    peer.stream(new Uint8Array(4 * FRAME_BYTES), FRAME_BYTES);
    peer.socket.ping();
    await new Promise((resolve) => peer.socket.once("pong", resolve));
    expect(peer.kinds).toEqual([]);
    opening.open();
    await peer.ready();
    peer.send(1, new Uint8Array(FRAME_BYTES));
    await peer.until(() => peer.text === ".");
    peer.socket.close();
    expect((await ended()).account).toMatchObject({ steps: 1, earlyMessages: 4 });
  });

  test("a model that fails ends its session, not the server, and the client is not told of its files", async () => {
    const engine = new ScriptedEngine(() => Promise.reject(new Error("cannot read /secret/path")));
    const logged: string[] = [];
    const { server } = await serverOf({ engine, log: { write: (_, __, text) => logged.push(text) } });
    const first = await peerOf(server, "?format=pcm_s16le").ready();
    first.send(1, new Uint8Array(FRAME_BYTES));
    expect((await first.ended).code).toBe(1011);
    expect(first.errors).toEqual(["the model failed; the server's log says how"]);
    expect(logged).toEqual(["the model failed: cannot read /secret/path"]);
    engine.opening = () =>
      Promise.reject(
        new RuntimeError("invalid-argument", { part: "voice_prompt", problem: "there is no such" }),
      );
    const second = peerOf(server, "?voice_prompt=x.pt");
    expect(await second.ended).toEqual({ code: 1008, reason: "voice_prompt: there is no such" });
    engine.opening = () => Promise.resolve();
    await peerOf(server).ready();
    expect(engine.closed).toBe(1);
  });
});

describe("clients that come together", () => {
  test("one has the session, one waits, the third is refused with a reason; each gets it at once when it is free", async () => {
    const engine = new ScriptedEngine();
    const { server, events } = await serverOf({ engine, queue: 1 });
    const first = await peerOf(server, "?format=pcm_s16le").ready();
    const second = peerOf(server, "?format=pcm_s16le");
    await new Promise((resolve) => second.socket.once("open", resolve));
    const third = peerOf(server);
    expect((await third.ended).code).toBe(1013);
    expect(third.kinds).toEqual([5]);
    expect(third.errors).toEqual(["another client has the session, and 1 wait already; try again later"]);
    expect(second.kinds).toEqual([]);
    first.socket.terminate();
    await second.ready();
    expect(engine).toMatchObject({ closed: 1 });
    expect(events.map(({ kind }) => kind)).toEqual(["began", "refused", "ended", "began"]);
  });

  test("one that waits and leaves is forgotten; without a queue the second is refused", async () => {
    const engine = new ScriptedEngine();
    const { server } = await serverOf({ engine, queue: 1 });
    const first = await peerOf(server).ready();
    const second = peerOf(server);
    await new Promise((resolve) => second.socket.once("open", resolve));
    second.socket.close();
    await second.ended;
    while (server.waitingCount > 0) await new Promise(setImmediate);
    const third = peerOf(server);
    await new Promise((resolve) => third.socket.once("open", resolve));
    first.socket.close();
    await third.ready();
    expect(engine.opened).toHaveLength(2);

    const { server: strict } = await serverOf();
    await peerOf(strict).ready();
    const refused = peerOf(strict);
    expect(await refused.ended).toEqual({
      code: 1013,
      reason: "another client has the session; try again later",
    });
  });

  test("one that leaves in the middle of a step, or of the opening, makes room when that is done", async () => {
    const step = gate();
    const engine = new ScriptedEngine(async () => {
      await step.passed;
      return { pcm: null, text: "." };
    });
    const { server, ended } = await serverOf({ engine, queue: 2 });
    const first = await peerOf(server, "?format=pcm_s16le").ready();
    first.stream(new Uint8Array(3 * FRAME_BYTES), FRAME_BYTES);
    while (engine.heard.length === 0) await new Promise(setImmediate);
    let broken = false;
    engine.opening = (_, signal) =>
      new Promise((__, reject) => {
        signal.addEventListener("abort", () => {
          broken = true;
          reject(signal.reason);
        });
      });
    const second = peerOf(server);
    await new Promise((resolve) => second.socket.once("open", resolve));
    first.socket.terminate();
    step.open();
    await ended();
    expect(engine.closed).toBe(1);
    while (engine.opened.length < 2) await new Promise(setImmediate);
    second.socket.terminate();
    while (!broken) await new Promise(setImmediate);
    engine.opening = () => Promise.resolve();
    await peerOf(server).ready();
  });

  test("one that comes back before its own session is closed may wait for that, without a queue", async () => {
    const step = gate();
    const engine = new ScriptedEngine(async () => {
      await step.passed;
      return { pcm: null, text: "." };
    });
    const { server } = await serverOf({ engine });
    const first = await peerOf(server, "?format=pcm_s16le").ready();
    first.send(1, new Uint8Array(FRAME_BYTES));
    while (engine.heard.length === 0) await new Promise(setImmediate);
    first.socket.close();
    await first.ended;
    const second = peerOf(server);
    await new Promise((resolve) => second.socket.once("open", resolve));
    expect((await peerOf(server).ended).code).toBe(1013);
    step.open();
    await second.ready();
    expect(engine.closed).toBe(1);
  });

  test("all are told when the server stops", async () => {
    const { server } = await serverOf({ queue: 1 });
    const first = await peerOf(server).ready();
    const second = peerOf(server);
    await new Promise((resolve) => second.socket.once("open", resolve));
    await server.close();
    servers.length = 0;
    expect(await first.ended).toEqual({ code: 1001, reason: "the server is stopping" });
    expect((await second.ended).code).toBe(1001);
  });
});

describe("clients that misbehave", () => {
  test("10,000 random messages change nothing: the next frame is answered", async () => {
    const { server, ended } = await serverOf();
    const peer = await peerOf(server).ready();
    const random = seeded(11);
    const stream = oggOpusOf(chirp(1));
    for (let k = 0; k < 10_000; k++) {
      const kind = Math.floor(random() * 12);
      const at = Math.floor(random() * stream.length);
      const payload =
        random() < 0.5
          ? randomBytes(random, Math.floor(random() * 60))
          : stream.subarray(at, at + 150 * random());
      if (random() < 0.05) peer.socket.send(Buffer.from(payload).toString("latin1"));
      else if (random() < 0.01) peer.socket.send(new Uint8Array());
      else peer.send(kind, payload);
      if (k % 100 === 0) await new Promise(setImmediate);
    }
    const before = peer.audio.length;
    // What looks like the beginning of a page may swallow a page's length of what follows: 64 KiB.
    for (let sent = 0; sent < 80_000; sent += stream.length) peer.stream(stream, 500);
    await peer.until(() => peer.audio.length >= before + 12);
    expect(peer.socket.readyState).toBe(peer.socket.OPEN);
    peer.socket.close();
    const { account } = await ended();
    expect(account.ignoredMessages).toBeGreaterThan(5000);
    expect(account.skippedBytes).toBeGreaterThan(1000);
  });

  test("a message beyond the limit ends the connection, and frees the session", async () => {
    const { server, ended } = await serverOf();
    const peer = await peerOf(server).ready();
    peer.send(1, new Uint8Array(131_072));
    expect((await peer.ended).code).toBe(1009);
    await ended();
    await peerOf(server).ready();
  });

  test("a stream that is no Opus ends the connection with the reason", async () => {
    const { server } = await serverOf();
    const peer = await peerOf(server).ready();
    // A page of its own making: "fishead", as a skeleton stream has it, with the checksum that belongs to it.
    const stream = oggOpusOf(chirp(0.1), { channels: 1 });
    const other = Buffer.from(stream);
    other.write("VorbHead", 28);
    other.writeUInt32LE(0, 22);
    let crc = 0;
    for (const byte of other.subarray(0, 47)) {
      crc ^= byte << 24;
      for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
    }
    other.writeInt32LE(crc, 22);
    peer.send(1, other);
    expect((await peer.ended).code).toBe(1003);
    expect(peer.errors[0]).toContain("does not begin with an OpusHead packet");
  });

  test("a flood is held back by not being read, and nothing of it is lost", async () => {
    const step = gate();
    const engine = new ScriptedEngine(async (_, pcm) => {
      await step.passed;
      return { pcm: pcm.slice(), text: "" };
    });
    const { server, ended } = await serverOf({ engine });
    const peer = await peerOf(server, "?format=pcm_s16le").ready();
    const flood = Buffer.from(randomBytes(seeded(12), 24 * 65_536));
    peer.stream(flood, 65_536);
    // So much that it does not fit the sockets' own buffers either waits on the client's side while the model stands.
    const sent = 16 * 1024 * 1024;
    peer.stream(new Uint8Array(sent), 65_536);
    while (engine.heard.length === 0) await new Promise(setImmediate);
    for (let turns = 0; turns < 200; turns++) await new Promise(setImmediate);
    expect(peer.socket.bufferedAmount).toBeGreaterThan(sent / 4);
    step.open();
    await peer.until(() => peer.heardBytes >= flood.length);
    expect(Buffer.concat(peer.audio).subarray(0, flood.length).equals(flood)).toBe(true);
    peer.socket.terminate();
    const { account } = await ended();
    expect(account.heldBack).toBeGreaterThan(0);
    expect(account.droppedMessages).toBe(0);
  });

  test("one that never reads does not stop the model: messages are dropped and counted; then it is let go", async () => {
    let nowMs = 0;
    // Long words fill the sockets' own buffers soon.
    const engine = new ScriptedEngine(() => ({ pcm: null, text: "x".repeat(65_536) }));
    const { server, ended } = await serverOf({ engine, nowMs: () => nowMs, beatMs: 20 });
    const peer = await peerOf(server, "?format=pcm_s16le").ready();
    peer.socket.pause();
    const frames = 300;
    peer.stream(new Uint8Array(frames * FRAME_BYTES), FRAME_BYTES);
    while (engine.heard.length < frames) await new Promise((resolve) => setTimeout(resolve, 5));
    nowMs += 10_001;
    const { reason, account } = await ended();
    expect(reason).toBe("the client does not read");
    expect(account.steps).toBe(frames);
    expect(account.droppedMessages).toBeGreaterThan(100);
  });

  test("one without sound, and one without a sign of life, are let go; one that waits is not", async () => {
    let nowMs = 0;
    const options = { nowMs: () => nowMs, beatMs: 20 };
    const { server } = await serverOf({ ...options, queue: 1 });
    const idle = await peerOf(server).ready();
    const waiting = peerOf(server);
    await new Promise((resolve) => waiting.socket.once("open", resolve));
    // Each step is within the patience for a sign of life, and both give one.
    for (let step = 0; step < 4; step++) {
      nowMs += 15_001;
      for (const { socket } of [idle, waiting]) {
        if (socket.readyState !== socket.OPEN) continue;
        socket.ping();
        await Promise.race([new Promise((resolve) => socket.once("pong", resolve)), idle.ended]);
      }
      // The web client leaves when it has heard nothing for 10 s.
      await idle.until(() => idle.kinds.includes(6));
    }
    expect(await idle.ended).toEqual({ code: 1008, reason: "no sound for 60 s" });
    await waiting.ready();

    const { server: other, ended } = await serverOf(options);
    const mute = await peerOf(other).ready();
    // Nothing is read, and so no ping answered.
    mute.socket.pause();
    nowMs += 30_001;
    expect((await ended()).reason).toBe("the client is silent");
  });

  test("connections that are no WebSocket are answered or dropped", async () => {
    const { server } = await serverOf();
    const answer = (path: string, method = "GET") =>
      new Promise<{ status: number; text: string }>((resolve, reject) => {
        get(`${server.url}${path}`, { method, agent: false }, (response) => {
          let text = "";
          response.on("data", (part) => {
            text += part;
          });
          response.on("end", () => resolve({ status: response.statusCode!, text }));
        }).on("error", reject);
      });
    expect(await answer("/healthz")).toEqual({ status: 200, text: "ok\n" });
    expect((await answer("/api/chat")).status).toBe(426);
    expect((await answer("/")).status).toBe(404);
    expect((await answer("/healthz", "POST")).status).toBe(405);
    const raw = connect(Number(new URL(server.url).port), "127.0.0.1");
    raw.on("error", () => {});
    const dropped = new Promise((resolve) => raw.on("close", resolve));
    raw.write("\u0000\u0001 no HTTP\r\n\r\n");
    await dropped;
    await peerOf(server).ready();
  });
});
