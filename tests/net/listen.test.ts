import { describe, expect, test } from "vitest";
import { isLoopback, listenAddress } from "../../src/net/listen.ts";

describe("addresses", () => {
  test.each([
    ["127.0.0.1:8420", { ip: "127.0.0.1", port: 8420, isLoopback: true }],
    ["8420", { ip: "127.0.0.1", port: 8420, isLoopback: true }],
    ["[::1]:80", { ip: "::1", port: 80, isLoopback: true }],
    ["0.0.0.0:1", { ip: "0.0.0.0", port: 1, isLoopback: false }],
    ["[::]:1", { ip: "::", port: 1, isLoopback: false }],
  ])("%s", async (text, expected) => {
    expect(await listenAddress(text, "part", "Mend it")).toMatchObject(expected);
  });

  test.each(["", "localhost", "a:b", "127.0.0.1:65536", "http://127.0.0.1:80", "::1:80x"])(
    "%j is none",
    async (text) => {
      await expect(listenAddress(text, "part", "Mend it")).rejects.toMatchObject({
        code: "invalid-argument",
        message: `part: '${text}' is not HOST:PORT. Mend it`,
      });
    },
  );

  test("IPv4 in IPv6 is looked through", () => {
    expect(isLoopback("::ffff:127.0.0.1")).toBe(true);
    expect(isLoopback("::ffff:10.0.0.1")).toBe(false);
  });
});
