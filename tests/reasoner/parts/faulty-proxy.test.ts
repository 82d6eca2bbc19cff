import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FaultyProxy } from "./faulty-proxy.ts";

let echo: Server;
let proxy: FaultyProxy;
let served: Socket[];
let clients: Socket[];

beforeEach(async () => {
  served = [];
  clients = [];
  echo = createServer((socket) => {
    served.push(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  const address = echo.address();
  proxy = await FaultyProxy.start(typeof address === "object" && address ? address.port : 0);
});

afterEach(async () => {
  for (const socket of [...clients, ...served]) socket.destroy();
  await proxy.stop();
  await new Promise((resolve) => echo.close(resolve));
});

async function client(): Promise<Socket> {
  const socket = connect(proxy.port, "127.0.0.1");
  socket.on("error", () => {});
  clients.push(socket);
  await once(socket, "connect");
  return socket;
}

/** Unlike events.once it takes an error for what it is here: a way to be closed. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

/** Sends `bytes` and gives what has come back when as much as that is there. */
async function roundTrip(socket: Socket, bytes: Buffer): Promise<Buffer> {
  const back: Buffer[] = [];
  let length = 0;
  const all = new Promise<void>((resolve) => {
    const take = (chunk: Buffer) => {
      back.push(chunk);
      length += chunk.length;
      if (length < bytes.length) return;
      socket.off("data", take);
      resolve();
    };
    socket.on("data", take);
  });
  socket.write(bytes);
  await all;
  return Buffer.concat(back);
}

describe("the faulty proxy", () => {
  test("passes every byte in order while the network is good", async () => {
    const bytes = Buffer.alloc(500_000, "0123456789");
    expect((await roundTrip(await client(), bytes)).equals(bytes)).toBe(true);
  });

  test("delays: a round trip takes the delay twice", async () => {
    const socket = await client();
    proxy.set({ delayMs: 100 });
    const beganMs = performance.now();
    await roundTrip(socket, Buffer.from("ping"));
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(199);
  });

  test("throttles: bytes take their time, and all come", async () => {
    const socket = await client();
    proxy.set({ bytesPerSecond: 10_000 });
    const bytes = Buffer.alloc(5000, "0123456789");
    const beganMs = performance.now();
    expect((await roundTrip(socket, bytes)).equals(bytes)).toBe(true);
    // The way back begins while the way there goes on: half a second and a little.
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(450);
  });

  test("cuts: both sides see a reset, and a new connection works", async () => {
    const socket = await client();
    await roundTrip(socket, Buffer.from("ping"));
    const both = [closed(socket), closed(served[0]!)];
    proxy.cut();
    await Promise.all(both);
    expect(proxy.open).toBe(0);
    expect((await roundTrip(await client(), Buffer.from("again"))).toString()).toBe("again");
  });

  test("half-open: nothing passes and nobody is told; a new connection works", async () => {
    const socket = await client();
    await roundTrip(socket, Buffer.from("ping"));
    proxy.halfOpen();
    let heard = 0;
    socket.on("data", (chunk) => {
      heard += chunk.length;
    });
    socket.write("lost");
    // A whole round trip of another connection later the first would have answered.
    await roundTrip(await client(), Buffer.from("other"));
    socket.destroy();
    await roundTrip(await client(), Buffer.from("another"));
    expect(heard).toBe(0);
    expect(served[0]!.destroyed).toBe(false);
  });

  test("refuses until it accepts again", async () => {
    proxy.refuse();
    const refused = connect(proxy.port, "127.0.0.1");
    refused.on("error", () => {});
    await closed(refused);
    proxy.heal();
    expect((await roundTrip(await client(), Buffer.from("ping"))).toString()).toBe("ping");
  });
});
