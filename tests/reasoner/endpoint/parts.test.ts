import { describe, expect, test } from "vitest";
import { backoffMs, retryAfterMs } from "../../../src/core/backoff.ts";
import { questionOf } from "../../../src/reasoner/endpoint/ask-person.ts";
import { endpointConfig, keyTravelsInClear } from "../../../src/reasoner/endpoint/environment.ts";

describe("back-off", () => {
  const backoff = { maxAttempts: 9, firstMs: 100, maxMs: 1000 };

  test("is uniform below a bound that doubles up to its cap", () => {
    const bounds = [1, 2, 3, 4, 5, 6].map((failures) => backoffMs(backoff, failures, null, () => 1));
    expect(bounds).toEqual([100, 200, 400, 800, 1000, 1000]);
    expect(backoffMs(backoff, 3, null, () => 0)).toBe(0);
  });

  test("never undercuts Retry-After", () => {
    expect(backoffMs(backoff, 1, 5000, () => 0)).toBe(5000);
  });

  test.each<[string | null, number | null]>([
    [null, null],
    ["3", 3000],
    [" 0 ", 0],
    ["soon", null],
    ["-1", null],
    ["Thu, 01 Jan 1970 00:01:40 GMT", 90_000],
    ["Thu, 01 Jan 1970 00:00:01 GMT", 0],
  ])("reads Retry-After %j as %j ms", (header, expected) => {
    expect(retryAfterMs(header, 10_000)).toBe(expected);
  });
});

describe("the environment", () => {
  const right = {
    MICROTURN_REASONER_URL: "https://api.example.com/v1",
    MICROTURN_REASONER_MODEL: "m",
    MICROTURN_REASONER_KEY: " sk-1\n",
  };

  test("gives URL, model and key, without the newline that files end in", () => {
    expect(endpointConfig(right)).toMatchObject({
      baseUrl: new URL(right.MICROTURN_REASONER_URL),
      model: "m",
      key: "sk-1",
    });
    expect(endpointConfig({ ...right, MICROTURN_REASONER_KEY: "" }).key).toBeNull();
  });

  test.each<[string, string | undefined, string]>([
    ["MICROTURN_REASONER_URL", undefined, "is not set"],
    ["MICROTURN_REASONER_URL", "api.example.com/v1", "no http(s) URL"],
    ["MICROTURN_REASONER_URL", "ftp://x/v1", "no http(s) URL"],
    ["MICROTURN_REASONER_URL", "https://me:hunter2@x/v1", "holds a user or password"],
    ["MICROTURN_REASONER_MODEL", " ", "is not set"],
    ["MICROTURN_REASONER_KEY", "sk hunter2", "no HTTP header may carry"],
  ])("names %s = %j as wrong: %s", (name, value, problem) => {
    const call = () => endpointConfig({ ...right, [name]: value });
    expect(call).toThrow(`${name}: `);
    expect(call).toThrow(problem);
    expect(call).not.toThrow("hunter2");
    expect(call).toThrow(expect.objectContaining({ code: "invalid-configuration", exitCode: 78 }));
  });

  test("knows when the key would cross a network unencrypted", () => {
    const clear = (url: string) =>
      keyTravelsInClear(endpointConfig({ ...right, MICROTURN_REASONER_URL: url }));
    expect(clear("http://10.0.0.7/v1")).toBe(true);
    expect(clear("https://10.0.0.7/v1")).toBe(false);
    expect(clear("http://localhost:8080/v1")).toBe(false);
    expect(clear("http://[::1]:8080/v1")).toBe(false);
  });
});

describe("ask_person", () => {
  const call = (text: string, name = "ask_person") =>
    questionOf({ id: "a", type: "function", function: { name, arguments: text } });

  test("gives the question", () => {
    expect(call('{"question": " Which knee? ", "why": 1}')).toBe("Which knee?");
  });

  test.each([
    ["{", "not JSON"],
    ["{}", "usable question"],
    ['{"question": "  "}', "usable question"],
    ['{"question": 3}', "usable question"],
    [JSON.stringify({ question: "x".repeat(1001) }), "usable question"],
  ])("refuses %s", (text, problem) => {
    expect(() => call(text)).toThrow(problem);
  });

  test("refuses another tool", () => {
    expect(() => call('{"question": "?"}', "rm")).toThrow("bad-tool-call");
  });
});
