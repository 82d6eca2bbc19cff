import { afterEach, describe, expect, test } from "vitest";
import { FakeEngine } from "../../src/serve/fake-engine.ts";
import { ModelServer, type ServeOptions } from "../../src/serve/server.ts";
import { Peer } from "./peer.ts";

const TOKEN = "0123456789abcdef";
const servers: ModelServer[] = [];

async function serverOf(options: Partial<ServeOptions> = {}): Promise<ModelServer> {
  const server = await ModelServer.open({
    address: "127.0.0.1:0",
    token: null,
    origins: [],
    queue: 0,
    engine: new FakeEngine(),
    ...options,
  });
  servers.push(server);
  return server;
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** 0 if the client is let in, else the HTTP status. */
async function answer(
  server: ModelServer,
  query = "",
  headers: Record<string, string> = {},
): Promise<number> {
  const peer = new Peer(server.url.replace("0.0.0.0", "127.0.0.1"), query, headers);
  const status = await Promise.race([peer.ended.then(({ code }) => code), peer.ready().then(() => 0)]);
  const isOpen = peer.handshake !== null;
  peer.socket.terminate();
  return isOpen ? 0 : status;
}

describe("on loopback without a token", () => {
  test.each([{}, { host: "localhost" }, { host: "[::1]:8998" }, { host: "127.0.0.1:80" }])(
    "a program with %j is let in",
    async (headers) => {
      expect(await answer(await serverOf(), "", headers)).toBe(0);
    },
  );

  test.each(["evil.example", "127.0.0.1.nip.io", "192.168.1.5", "localhost.evil.example"])(
    "a request for %s is refused, which is how DNS rebinding fails",
    async (host) => {
      expect(await answer(await serverOf(), "", { host, origin: `http://${host}` })).toBe(403);
    },
  );

  test("pages of its own host and port, and of the origins that were named, are let in; no others", async () => {
    const server = await serverOf({ origins: ["http://localhost:5173", "https://talk.example"], queue: 9 });
    expect(await answer(server, "", { origin: server.url })).toBe(0);
    expect(await answer(server, "", { origin: "http://localhost:5173" })).toBe(0);
    expect(await answer(server, "", { origin: "https://talk.example" })).toBe(0);
    for (const origin of [
      "http://localhost:5174",
      "https://localhost:5173",
      "null",
      "http://127.0.0.1:1",
      "",
    ]) {
      expect(await answer(server, "", { origin }), origin).toBe(403);
    }
  });

  test.each(["localhost:5173", "http://a.example/path", "file:///x", "*"])(
    "%s is no origin",
    async (origin) => {
      await expect(serverOf({ origins: [origin] })).rejects.toMatchObject({
        code: "invalid-argument",
        part: "--origin",
      });
    },
  );
});

describe("a token", () => {
  test("is demanded, in a header or in the query, and a wrong one is refused", async () => {
    const server = await serverOf({ token: TOKEN, queue: 9 });
    expect(await answer(server)).toBe(401);
    expect(await answer(server, `?token=${TOKEN}x`)).toBe(401);
    expect(await answer(server, "?token=")).toBe(401);
    expect(await answer(server, "", { authorization: `Basic ${TOKEN}` })).toBe(401);
    expect(await answer(server, "", { authorization: `Bearer ${TOKEN.toUpperCase()}` })).toBe(401);
    expect(await answer(server, `?token=${TOKEN}`)).toBe(0);
    expect(await answer(server, "", { authorization: `bearer ${TOKEN}` })).toBe(0);
    // Whoever has it may use any name for the server, but a page must still be its own.
    expect(await answer(server, `?token=${TOKEN}`, { host: "talk.example" })).toBe(0);
    expect(await answer(server, `?token=${TOKEN}`, { origin: "http://evil.example" })).toBe(403);
  });

  test("must be set where others can reach the server, and be long enough", async () => {
    await expect(serverOf({ address: "0.0.0.0:0" })).rejects.toMatchObject({
      code: "invalid-configuration",
      message: expect.stringContaining("MICROTURN_SERVE_TOKEN"),
    });
    await expect(serverOf({ token: "short" })).rejects.toMatchObject({ code: "invalid-configuration" });
    expect(await answer(await serverOf({ address: "0.0.0.0:0", token: TOKEN }))).toBe(401);
  });
});

test("another path, and a parameter that is wrong, are refused with the reason", async () => {
  const server = await serverOf();
  const wrong = await new Peer(server.url, "?text_topk=many").ended;
  expect(wrong).toEqual({
    code: 400,
    reason: "text_topk: 'many', expected a whole number from 0 to 1000000\n",
  });
  expect((await new Peer(server.url, "/no").ended).code).toBe(404);
});

test("a port in use is device-unavailable and says what to do", async () => {
  const { port } = new URL((await serverOf()).url);
  await expect(serverOf({ address: `127.0.0.1:${port}` })).rejects.toMatchObject({
    code: "device-unavailable",
    message: expect.stringMatching(/^serve 127\.0\.0\.1:\d+: the port is in use\. Give another HOST:PORT/),
  });
});
