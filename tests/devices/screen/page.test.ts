import { mkdir } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Screen } from "../../../devices/screen/screen.ts";
import type { ScreenView } from "../../../devices/screen/view.ts";
import { launchBrowser, whyNoBrowser } from "./browser.ts";
import { staged } from "./view.ts";

const SCREENSHOTS = "out/screen";
const PORTRAIT = { width: 1080, height: 1920 };
const LANDSCAPE = { width: 1280, height: 800 };
const missing = whyNoBrowser();
if (missing !== null) process.stderr.write(`skipped: the screen in a real browser: ${missing}\n`);

let browser: Browser;
let screen: Screen;
let view: ScreenView;
const pages: Page[] = [];

/** A picture in which each quarter has its own colour. */
function picture(width: number, height: number): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++)
      rgb.set([x < width / 2 ? 200 : 40, y < height / 2 ? 180 : 60, 90], (y * width + x) * 3);
  }
  return rgb;
}

async function openScreen(address = "127.0.0.1:0"): Promise<void> {
  screen = await Screen.open({ address, token: null, picture: true, view: () => view, patienceMs: 600_000 });
}

/** A function that runs in the page, whose names are none of this program's. */
function inPage<Result>(body: string): (element: unknown) => Result {
  return new Function("element", body) as (element: unknown) => Result;
}

const styleOf = (property: string) => inPage<string>(`return getComputedStyle(element).${property};`);

interface Visit {
  page: Page;
  /** What the browser complained of, and each address that it asked for. */
  complaints: string[];
  addresses: string[];
}

/** Opens a page and waits for its first view. */
async function visit(path: string, viewport = LANDSCAPE): Promise<Visit> {
  const page = await browser.newPage({ viewport });
  pages.push(page);
  // The time that a test may take says enough.
  page.setDefaultTimeout(0);
  // The page's timers stand still until a test lets them run, however slow the machine is.
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(1000);
  const complaints: string[] = [];
  const addresses: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => addresses.push(request.url()));
  page.on("websocket", (socket) => addresses.push(socket.url()));
  await page.goto(screen.url + path);
  await page.locator("#captions p").last().waitFor();
  return { page, complaints, addresses };
}

/** Has the page show `next`, and waits until it does: the session time tells. */
async function show(page: Page, next: ScreenView, clock: string): Promise<void> {
  view = next;
  screen.update();
  await page.locator("#clock", { hasText: clock }).waitFor();
}

/** The share of the timeline that is drawn in a colour of the style sheet. */
function drawnShare(page: Page, colour: string): Promise<number> {
  return page.locator("#timeline").evaluate(
    inPage<number>(`
      const hex = getComputedStyle(element).getPropertyValue("--${colour}").match(/[0-9a-f]{2}/g);
      const wanted = [...hex.map((part) => parseInt(part, 16)), 255];
      const { data } = element.getContext("2d").getImageData(0, 0, element.width, element.height);
      let same = 0;
      for (let i = 0; i < data.length; i += 4) same += wanted.every((part, k) => data[i + k] === part);
      return (4 * same) / data.length;
    `),
  );
}

interface Words {
  text: string;
  /** Words of one paragraph have the same. */
  block: number;
  fontPx: number;
  /** WCAG 2.2, 1.4.3: from 1 to 21. */
  contrast: number;
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** How much of the smaller of two places lies in the other, from 0 to 1. */
function overlap(a: Words, b: Words): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  const area = (w: Words) => (w.right - w.left) * (w.bottom - w.top);
  return width <= 0 || height <= 0 ? 0 : (width * height) / Math.min(area(a), area(b));
}

/** Every stretch of words that can be seen, with its size, its place and its contrast to what is behind it. */
function wordsOn(page: Page): Promise<Words[]> {
  return page.locator("body").evaluate(
    inPage<Words[]>(`
      const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
      const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
      const luminance = (colour) => {
        const [r, g, b] = colour.map((part) => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const behind = (at) => {
        const colour = rgb(getComputedStyle(at).backgroundColor);
        return colour[3] === 0 ? behind(at.parentElement) : colour;
      };
      const blocks = [];
      const blockOf = (at) => {
        if (getComputedStyle(at).display === "inline") return blockOf(at.parentElement);
        if (!blocks.includes(at)) blocks.push(at);
        return blocks.indexOf(at);
      };
      const found = [];
      const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const holder = node.parentElement;
        if (!node.data.trim() || !holder.checkVisibility({ visibilityProperty: true })) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const { left, top, right, bottom } = range.getBoundingClientRect();
        const { color, fontSize } = getComputedStyle(holder);
        const pair = [luminance(rgb(color)), luminance(behind(holder))].sort((a, b) => b - a);
        const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
        found.push({ text: node.data.trim(), block: blockOf(holder), fontPx: parseFloat(fontSize), contrast, left, top, right, bottom });
      }
      return found;
    `),
  );
}

describe.skipIf(missing !== null)("the screen in Chromium", () => {
  beforeAll(async () => {
    await mkdir(SCREENSHOTS, { recursive: true });
    browser = await launchBrowser();
  });

  afterEach(async () => {
    await screen?.close();
    for (const page of pages.splice(0)) await page.close();
  });

  afterAll(async () => {
    await browser?.close();
  });

  test.each([
    ["mirror", "/mirror", PORTRAIT],
    ["mirror", "/mirror", LANDSCAPE],
    ["operator", "/", LANDSCAPE],
    ["operator", "/", PORTRAIT],
  ])("%s (%s) at %o shows everything, within the page, readable", async (name, path, viewport) => {
    view = staged();
    await openScreen();
    const { page, complaints, addresses } = await visit(path, viewport);
    screen.picture({ captureMs: 0, width: 160, height: 120, rgb: picture(160, 120) });
    await page.locator("#picture:visible").waitFor();
    await page.screenshot({ path: `${SCREENSHOTS}/${name}-${viewport.width}x${viewport.height}.png` });

    const words = await wordsOn(page);
    const texts = words.map(({ text }) => text).join(" | ");
    const everywhere = [
      "speaking",
      "recording",
      "degraded",
      "offline",
      "1:10",
      "12",
      "Set 2 of 3",
      "How many days",
    ];
    for (const text of everywhere) expect(texts).toContain(text);
    expect(texts).toContain(name === "mirror" ? "alsa microphone lost" : "alsa microphone hw:1 lost");
    for (const { text, right, bottom, left, top } of words) {
      expect(Math.min(left, top), text).toBeGreaterThanOrEqual(0);
      expect(right, text).toBeLessThanOrEqual(viewport.width);
      expect(bottom, text).toBeLessThanOrEqual(viewport.height);
    }
    // The box of the large number is higher than its figures.
    const lines = words.filter(({ fontPx }) => fontPx < 200);
    for (const [place, one] of lines.entries()) {
      const over = lines
        .slice(place + 1)
        .find((other) => other.block !== one.block && overlap(one, other) > 0.15);
      expect(over?.text, `over "${one.text}"`).toBeUndefined();
    }
    for (const { text, contrast } of words) expect(contrast, text).toBeGreaterThanOrEqual(7);
    if (name === "mirror") {
      // 1/200 of the distance is the letter height that ISO 9241-303 asks for; on 32 inches upright that is 5 vmin.
      for (const { text, fontPx } of words)
        expect(fontPx, text).toBeGreaterThanOrEqual(
          0.05 * viewport.width * (viewport.width > viewport.height ? 0.6 : 1),
        );
      expect(words.some(({ text, fontPx }) => text === "12" && fontPx > 200)).toBe(true);
    }

    expect(complaints).toEqual([]);
    expect(await drawnShare(page, "step")).toBeGreaterThan(0.01);
    expect(await drawnShare(page, "bad")).toBeGreaterThan(0.0005);
    for (const address of addresses) expect(new URL(address).host).toBe(new URL(screen.url).host);
    expect(addresses.filter((address) => address.startsWith("ws:"))).toHaveLength(1);
  });

  test("strikes what did not sound, and says so to who cannot see it", async () => {
    view = staged();
    await openScreen();
    const { page } = await visit("/");
    const struck = page.locator("#captions del");
    expect(await struck.textContent()).toBe("straight and your heels down");
    expect(await struck.evaluate(styleOf("textDecorationLine"))).toBe("line-through");
    expect(await page.getByRole("deletion").count()).toBe(1);
  });

  test("joins what is said in one breath, and touches no line that stays", async () => {
    const said = (id: number, tMs: number, text: string) => ({
      id,
      by: "said" as const,
      tMs,
      endMs: tMs + 400,
      text,
      unheard: "",
    });
    view = staged({
      captions: [said(1, 1000, "keep"), said(2, 1500, "your back straight"), said(3, 9000, "well done")],
    });
    await openScreen();
    const { page } = await visit("/");
    expect(await page.locator("#captions .said").allTextContents()).toEqual([
      "0:01 keep your back straight ",
      "0:09 well done ",
    ]);
    await page.locator("#captions p").first().evaluate(inPage('element.dataset.kept = "yes";'));
    await show(page, staged({ tMs: 80_000, captions: [...view.captions, said(4, 20_000, "one")] }), "1:20");
    expect(await page.locator("#captions p").count()).toBe(3);
    expect(await page.locator("#captions p").first().getAttribute("data-kept")).toBe("yes");
  });

  test("what was said cannot become a part of the page", async () => {
    const hostile = `<img src=x onerror="document.title='hit'"><script>document.title='hit'</script>`;
    view = staged({
      title: hostile,
      number: "<b>1",
      captions: [{ id: 1, by: "heard", tMs: 0, endMs: 0, text: hostile, unheard: "" }],
      tasks: [{ task: hostile, state: "ask", about: hostile, text: hostile, stale: false }],
      devices: [{ device: hostile, state: "lost", detail: hostile }],
    });
    await openScreen();
    for (const path of ["/", "/mirror"]) {
      const { page } = await visit(path);
      expect(await page.locator("img, #captions script").count()).toBe(0);
      expect(await page.locator("#captions .heard").textContent()).toContain(hostile);
      expect(await page.title()).not.toBe("hit");
    }
  });

  test("its policy keeps a script out that someone put into the page", async () => {
    view = staged();
    await openScreen();
    const { page, complaints } = await visit("/");
    const refused = await page.locator("body").evaluate(
      inPage<boolean>(`
        try {
          element.innerHTML = "<p>";
          return false;
        } catch {
          return true;
        }
      `),
    );
    expect(refused).toBe(true);
    expect(complaints.join()).toContain("TrustedHTML");
  });

  test("names its parts to assistive programs", async () => {
    view = staged();
    await openScreen();
    for (const path of ["/", "/mirror"]) {
      const { page } = await visit(path);
      const log = page.getByRole("log");
      expect(await log.getAttribute("aria-live")).toBe("polite");
      expect(await page.getByRole("status").first().textContent()).toBe("speaking");
      expect(await page.getByRole("alert").textContent()).toContain("lost");
      expect(await page.getByRole("img", { name: "slowest 260 ms, budget 200 ms" }).count()).toBe(1);
      expect(await page.locator("html").getAttribute("lang")).toBe("en");
    }
  });

  test("moves nothing where less motion is asked for", async () => {
    view = staged();
    await openScreen();
    const { page } = await visit("/mirror");
    const animation = () => page.locator("#number").evaluate(styleOf("animationName"));
    expect(await animation()).toBe("arrive");
    await page.emulateMedia({ reducedMotion: "reduce" });
    expect(await animation()).toBe("none");
  });

  test("says that it is offline when the session goes away, and comes back with it", async () => {
    view = staged();
    await openScreen();
    const { page } = await visit("/mirror");
    const { host } = new URL(screen.url);
    await screen.close();
    await page.locator("#activity", { hasText: "offline" }).waitFor();
    expect(await page.getByRole("alert").textContent()).toBe("the session is over");
    view = staged({ activity: "listening", tMs: 5000, devices: [] });
    await openScreen(host);
    await page.clock.runFor(10_000);
    await page.locator("#activity", { hasText: "listening" }).waitFor();
    expect(await page.locator("#fault").isVisible()).toBe(false);
  });

  test("says so when the session gives no news", async () => {
    view = staged();
    await openScreen();
    const { page } = await visit("/");
    await page.clock.runFor(2000);
    expect(await page.locator("#activity").textContent()).toBe("speaking");
    await page.clock.runFor(2000);
    expect(await page.locator("#activity").textContent()).toBe("offline");
    expect(await page.getByRole("alert").textContent()).toContain("no news");
    await show(page, staged({ tMs: 80_000, devices: [] }), "1:20");
    expect(await page.locator("#activity").textContent()).toBe("speaking");
  });

  test("keeps the last words of a session that has ended", async () => {
    view = staged({ activity: "ended", devices: [] });
    await openScreen();
    const { page } = await visit("/mirror");
    await page.locator("#activity", { hasText: "ended" }).waitFor();
    await screen.close();
    await page.clock.runFor(10_000);
    expect(await page.locator("#activity").textContent()).toBe("ended");
    expect(await page.locator("#captions p").count()).toBeGreaterThan(0);
  });

  test("shows a picture no larger than it is sent, over and over", async () => {
    view = staged();
    await openScreen();
    const { page } = await visit("/");
    screen.picture({ captureMs: 0, width: 160, height: 120, rgb: picture(160, 120) });
    await page.locator('#picture[width="160"]').waitFor();
    screen.picture({ captureMs: 200, width: 1280, height: 720, rgb: picture(1280, 720) });
    await page.locator('#picture[width="640"]').waitFor();
    const [red] = await page
      .locator("#picture")
      .evaluate(inPage<number[]>('return [...element.getContext("2d").getImageData(10, 10, 1, 1).data];'));
    expect(red).toBeGreaterThan(180);
  });
});
