import { createServer, get, type IncomingMessage, type RequestOptions, request } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import sharp from "sharp";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Screen, type ScreenOptions } from "../../../devices/screen/screen.ts";
import type { ScreenView } from "../../../devices/screen/view.ts";
import type { RuntimeError } from "../../../src/core/errors.ts";
import { staged } from "./view.ts";

const TOKEN = "a-token of 22 characters".slice(0, 22);
const open: Screen[] = [];

async function screenWith(options: Partial<ScreenOptions> = {}): Promise<Screen> {
  const screen = await Screen.open({
    address: "127.0.0.1:0",
    token: null,
    picture: true,
    view: () => staged(),
    log: { write: () => {} },
    ...options,
  });
  open.push(screen);
  return screen;
}

afterEach(async () => {
  for (const screen of open.splice(0)) await screen.close();
});

const portOf = (screen: Screen): number => Number(new URL(screen.url).port);

interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
}

/** Asks the server itself, with whatever headers, as no browser would. */
function ask(screen: Screen, path: string, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: "127.0.0.1", port: portOf(screen), path, agent: false, ...options },
      (answer) => {
        let text = "";
        answer.on("data", (part) => {
          text += part;
        });
        answer.on("end", () => resolve({ status: answer.statusCode!, headers: answer.headers, text }));
      },
    );
    asked.on("error", reject);
    asked.end();
  });
}

/** A browser that keeps what it is sent and acknowledges it only when told to. */
class Browser {
  readonly views: (ScreenView & { sheet: number })[] = [];
  readonly pictures: Buffer[] = [];
  readonly socket: WebSocket;
  /** Close code; for a connection that was refused its HTTP status. */
  readonly gone: Promise<number>;
  readonly #waiting: (() => void)[] = [];
  readonly #acknowledges: boolean;

  constructor(screen: Screen, headers: Record<string, string> = {}, acknowledges = true) {
    this.#acknowledges = acknowledges;
    this.socket = new WebSocket(`ws://127.0.0.1:${portOf(screen)}/live`, { headers });
    this.gone = new Promise((resolve) => {
      this.socket.on("close", resolve);
      this.socket.on("unexpected-response", (asked, answer) => {
        resolve(answer.statusCode!);
        asked.destroy();
      });
    });
    this.socket.on("error", () => {});
    this.socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.pictures.push(data);
      else this.views.push(JSON.parse(data.toString()));
      if (!isBinary && this.#acknowledges) this.acknowledge();
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  acknowledge(): void {
    this.socket.send(JSON.stringify({ ack: this.views.at(-1)!.sheet }));
  }

  /** Resolves when `done` holds, which is looked at after every message. */
  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

describe("the pages", () => {
  test.each(["/", "/mirror"])("%s loads nothing that is not its own", async (path) => {
    const screen = await screenWith();
    const { status, headers, text } = await ask(screen, path);
    expect(status).toBe(200);
    expect(headers["content-security-policy"]).toContain("default-src 'none'");
    expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
    expect(headers["content-security-policy"]).not.toContain("unsafe");
    expect(headers["x-content-type-options"]).toBe("nosniff");
    const links = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link!);
    expect(links.length).toBeGreaterThan(3);
    for (const link of links) expect((await ask(screen, link)).status, link).toBe(200);
  });

  test.each(["/../package.json", "/page/screen.js", "/screen.ts", "//", "/%2e%2e/x", "http://evil.example/"])(
    "%s is not there",
    async (path) => {
      expect((await ask(await screenWith(), path)).status).toBe(404);
    },
  );

  test("only reading is understood", async () => {
    expect((await ask(await screenWith(), "/", { method: "POST" })).status).toBe(405);
  });
});

describe("the name by which a screen is asked for", () => {
  const status = async (screen: Screen, host: string) =>
    (await ask(screen, "/", { headers: { host } })).status;

  test.each(["127.0.0.1", "localhost", "LOCALHOST:1", "127.3.2.1:80", "[::1]:8420"])(
    "%s is this machine's",
    async (host) => {
      expect(await status(await screenWith(), host)).toBe(200);
    },
  );

  test.each(["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.1.5", "a b", "user@"])(
    "%j is refused on loopback, which is how DNS rebinding fails",
    async (host) => {
      const screen = await screenWith();
      expect(await status(screen, host)).toBe(403);
      const refused = new Browser(screen, { host, origin: `http://${host}` });
      expect(await refused.gone).toBe(403);
    },
  );

  test("on another address IP addresses and the machine's own names are taken, others are not", async () => {
    const screen = await screenWith({ address: "0.0.0.0:0", token: TOKEN });
    for (const host of ["192.168.1.5:8420", "[fe80::1]", hostname(), `${hostname()}.local:1`]) {
      expect(await status(screen, host), host).toBe(401);
    }
    expect(await status(screen, "evil.example")).toBe(403);
  });
});

describe("the origin of a WebSocket", () => {
  test("must be the screen's own, if there is one", async () => {
    const screen = await screenWith();
    const host = `127.0.0.1:${portOf(screen)}`;
    for (const origin of [`http://${host}`, `https://${host}`]) {
      const browser = new Browser(screen, { origin });
      await browser.until(() => browser.views.length > 0);
    }
    for (const origin of [
      "http://evil.example",
      "null",
      "http://127.0.0.1:1",
      `http://${host}.evil.example`,
      "file://",
      "",
    ]) {
      expect(await new Browser(screen, { origin }).gone, origin).toBe(403);
    }
    expect(screen.clientCount).toBe(2);
  });
});

describe("the token", () => {
  test.each([
    ["0.0.0.0:0", null],
    ["[::]:0", null],
    ["0.0.0.0:0", "short"],
    ["127.0.0.1:0", "short"],
  ])("%s with token %j is refused with what to do", async (address, token) => {
    const fault = (await screenWith({ address, token }).catch((error: unknown) => error)) as RuntimeError;
    expect(fault).toMatchObject({ code: "invalid-configuration", exitCode: 78 });
    expect(fault.message).toContain("MICROTURN_SCREEN_TOKEN");
  });

  test.each(["0.0.0.0:0", "127.0.0.1:0"])(
    "opens a screen on %s once, then a cookie does",
    async (address) => {
      const screen = await screenWith({ address, token: TOKEN });
      const refused = await ask(screen, "/mirror");
      expect(refused.status).toBe(401);
      expect(refused.text).toContain("/?token=TOKEN");

      const wrong = await ask(screen, `/mirror?token=${encodeURIComponent(`${TOKEN}x`)}`);
      expect(wrong).toMatchObject({ status: 401, text: expect.stringContaining("wrong") });
      expect(wrong.headers["set-cookie"]).toBeUndefined();

      const right = await ask(screen, `/mirror?token=${encodeURIComponent(TOKEN)}`);
      expect(right).toMatchObject({ status: 303, headers: { location: "/mirror" } });
      const [setCookie] = right.headers["set-cookie"]!;
      expect(setCookie).toContain("HttpOnly");
      expect(setCookie).toContain("SameSite=Strict");
      expect(setCookie).not.toContain(TOKEN);

      const cookie = `other=1; ${setCookie!.split(";")[0]}`;
      expect((await ask(screen, "/mirror", { headers: { cookie } })).status).toBe(200);
      const browser = new Browser(screen, { cookie });
      await browser.until(() => browser.views.length > 0);
      expect(await new Browser(screen).gone).toBe(401);
      expect(await new Browser(screen, { cookie: `${cookie}0` }).gone).toBe(401);
      expect(await new Browser(screen, { cookie: "microturn-screen=" }).gone).toBe(401);
    },
  );
});

describe("the address", () => {
  test("whose port is in use is device-unavailable, 69, and says what to do", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as AddressInfo;
    await expect(screenWith({ address: `127.0.0.1:${port}` })).rejects.toMatchObject({
      code: "device-unavailable",
      exitCode: 69,
      message: expect.stringMatching(/in use.*Give another HOST:PORT/),
    });
    other.close();
  });
});

describe("a browser", () => {
  test("is sent the view and pictures, and the last view before the screen closes", async () => {
    let number = "1";
    const screen = await screenWith({ view: () => staged({ number }) });
    const browser = new Browser(screen);
    await browser.until(() => browser.views.length > 0);
    expect(browser.views[0]).toMatchObject(staged({ number: "1" }));
    screen.picture({ captureMs: 0, width: 1280, height: 720, rgb: new Uint8Array(1280 * 720 * 3).fill(200) });
    await browser.until(() => browser.pictures.length > 0);
    expect(await sharp(browser.pictures[0]).metadata()).toMatchObject({
      format: "jpeg",
      width: 640,
      height: 360,
    });
    number = "2";
    await screen.close();
    open.length = 0;
    expect(await browser.gone).toBe(1001);
    expect(browser.views.at(-1)!.number).toBe("2");
  });

  test("gets no picture if none is to be shown", async () => {
    const screen = await screenWith({ picture: false });
    const browser = new Browser(screen);
    await browser.until(() => browser.views.length > 0);
    screen.picture({ captureMs: 0, width: 4, height: 3, rgb: new Uint8Array(36) });
    screen.update();
    await browser.until(() => browser.views.length > 1);
    expect(browser.pictures).toEqual([]);
  });

  test("a frame that cannot be encoded ends the pictures, not the session, and is told once", async () => {
    const told: string[] = [];
    const screen = await screenWith({ log: { write: (_, __, message) => told.push(message) } });
    const browser = new Browser(screen);
    await browser.until(() => browser.views.length > 0);
    for (let k = 0; k < 3; k++) screen.picture({ captureMs: 0, width: 4, height: 3, rgb: new Uint8Array(5) });
    while (told.length === 0) await new Promise(setImmediate);
    screen.picture({ captureMs: 0, width: 4, height: 3, rgb: new Uint8Array(5) });
    screen.update();
    await browser.until(() => browser.views.length > 1);
    expect(told).toEqual([expect.stringContaining("no more pictures")]);
  });

  test("that is slow gets the newest when it is ready, and nothing in between", async () => {
    let number = 0;
    const screen = await screenWith({ view: () => staged({ number: `${number}` }) });
    const slow = new Browser(screen, {}, false);
    const quick = new Browser(screen);
    await slow.until(() => slow.views.length > 0);
    for (number = 1; number <= 5; number++) {
      const seen = quick.views.length;
      screen.update();
      await quick.until(() => quick.views.length > seen);
    }
    expect(quick.views.at(-1)!.number).toBe("5");
    expect(slow.views).toHaveLength(1);
    slow.acknowledge();
    await slow.until(() => slow.views.length > 1);
    expect(slow.views.map((view) => view.number)).toEqual([slow.views[0]!.number, "5"]);
  });

  test.each([
    ["words", "hello", 1008],
    ["JSON of another kind", "[1]", 1008],
    ["null", "null", 1008],
    ["no number", '{"ack":"1"}', 1008],
    ["a sheet that was not sent", '{"ack":999999}', 1008],
    ["bytes", Buffer.from([1, 2, 3]), 1008],
    ["too much", "x".repeat(300), 1009],
  ])("that sends %s is let go, and the screen goes on", async (_, message, code) => {
    const screen = await screenWith();
    const browser = new Browser(screen, {}, false);
    await browser.until(() => browser.views.length > 0);
    browser.socket.send(message);
    expect(await browser.gone).toBe(code);
    const next = new Browser(screen);
    await next.until(() => next.views.length > 0);
  });

  test("is kept though the session says nothing for long", async () => {
    const screen = await screenWith({ patienceMs: 1500 });
    const browser = new Browser(screen);
    await browser.until(() => browser.views.length > 0);
    await delay(4000);
    expect(browser.socket.readyState).toBe(WebSocket.OPEN);
  });

  test("may be one of sixteen", async () => {
    const screen = await screenWith();
    const browsers = Array.from({ length: 16 }, () => new Browser(screen));
    for (const browser of browsers) await browser.until(() => browser.views.length > 0);
    expect(await new Browser(screen).gone).toBe(503);
    expect((await new Promise<IncomingMessage>((done) => get(screen.url, done))).statusCode).toBe(200);
  });
});

/** A connection that asks for the WebSocket and from then on never reads. */
async function stalled(screen: Screen): Promise<Socket> {
  const socket = connect(portOf(screen), "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  while (screen.clientCount === 0) await new Promise(setImmediate);
  return socket;
}

/** One text frame as a client sends it: masked, here with zeros (RFC 6455, 5.2). */
function textFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}

describe("a connection that never reads", () => {
  const wide = staged({ title: "x".repeat(1_000_000) });

  test("is sent one sheet and no more, then let go", async () => {
    let views = 0;
    const screen = await screenWith({
      patienceMs: 1500,
      view: () => {
        views++;
        return wide;
      },
    });
    const socket = await stalled(screen);
    const quick = new Browser(screen);
    let mostBytes = 0;
    while (screen.clientCount > 1 || views < 5) {
      screen.update();
      await new Promise(setImmediate);
      mostBytes = Math.max(mostBytes, screen.bufferedBytes);
    }
    // One for each of the two, and what frames them.
    expect(mostBytes).toBeLessThan(2 * 1_060_000);
    expect(quick.socket.readyState).toBe(WebSocket.OPEN);
    expect(quick.views.length).toBeGreaterThan(2);
    // What Node takes in by itself before anyone reads.
    expect(socket.bytesRead).toBeLessThan(200_000);
  });

  test("and acknowledges all the same holds one sheet at most, then is let go", async () => {
    let sheets = 0;
    const screen = await screenWith({
      patienceMs: 3000,
      view: () => {
        sheets++;
        return wide;
      },
    });
    const socket = await stalled(screen);
    let mostBytes = 0;
    let acknowledged = 0;
    while (screen.clientCount > 0) {
      screen.update();
      if (sheets > acknowledged) {
        acknowledged = sheets;
        socket.write(textFrame(`{"ack":${sheets}}`));
      }
      await new Promise(setImmediate);
      mostBytes = Math.max(mostBytes, screen.bufferedBytes);
    }
    // The kernel took some; what waited in this process was the rest of one sheet.
    expect(sheets).toBeGreaterThan(2);
    expect(mostBytes).toBeGreaterThan(0);
    expect(mostBytes).toBeLessThan(1_060_000);
  });
});

describe("what is sent without a browser", () => {
  /** What the server answers to these bytes before it closes the connection. */
  async function answerTo(screen: Screen, bytes: string): Promise<string> {
    const socket = connect(portOf(screen), "127.0.0.1");
    let answer = "";
    socket.on("error", () => {});
    socket.setEncoding("utf8").on("data", (text) => {
      answer += text;
    });
    socket.end(bytes, "latin1");
    await new Promise((resolve) => socket.once("close", resolve));
    return answer;
  }

  test.each([
    ["noise", "\0\xff\xfe", ""],
    ["a request without a host", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 403"],
    ["half a request", "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n", ""],
    [
      "another WebSocket",
      "GET /other HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      "HTTP/1.1 404",
    ],
    [
      "an upgrade to something else",
      "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
      "HTTP/1.1 4",
    ],
  ])("%s is answered or dropped, and the screen goes on", async (_, bytes, answer) => {
    const screen = await screenWith();
    expect(await answerTo(screen, bytes)).toMatch(answer === "" ? /^$/ : new RegExp(`^${answer}`));
    expect((await ask(screen, "/")).status).toBe(200);
  });
});
