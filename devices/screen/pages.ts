import { readFile } from "node:fs/promises";
import type { OutgoingHttpHeaders } from "node:http";

const TYPES = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
} as const;

/** Each path that is served, and its file. Nothing else is. */
const FILES: Readonly<Record<string, string>> = {
  "/": "operator.html",
  "/mirror": "mirror.html",
  ...Object.fromEntries(
    [
      "common.css",
      "operator.css",
      "mirror.css",
      "screen.js",
      "connection.js",
      "captions.js",
      "timeline.js",
      "icon.svg",
    ].map((name) => [`/${name}`, name]),
  ),
};

export interface Page {
  body: Buffer;
  headers: OutgoingHttpHeaders;
}

/** No script, style, picture or connection but the screen's own, and nobody may frame it. */
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cache-Control": "no-store",
} as const;

/** The headers of everything that is sent as plain text. */
export const TEXT_HEADERS = { ...HEADERS, "Content-Type": "text/plain; charset=utf-8" } as const;

/** Reads the page's files, by the path under which each is served: they are small, and no path leads elsewhere. */
export async function readPages(): Promise<ReadonlyMap<string, Page>> {
  const folder = new URL("./page/", import.meta.url);
  const pages = Object.entries(FILES).map(async ([path, name]): Promise<[string, Page]> => {
    const body = await readFile(new URL(name, folder));
    const type = TYPES[name.split(".").at(-1) as keyof typeof TYPES];
    return [path, { body, headers: { ...HEADERS, "Content-Type": type, "Content-Length": body.length } }];
  });
  return new Map(await Promise.all(pages));
}
