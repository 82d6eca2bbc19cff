import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What each part may import beside itself. `src/cli` wires concrete parts together and may import all of them. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "src/core": [],
  "src/gpu": ["src/core"],
  "src/signal": ["src/core"],
  "src/timeline": ["src/core", "src/signal"],
  "src/runtime": ["src/core", "src/signal", "src/timeline"],
  "src/reasoner": ["src/core"],
  "src/record": ["src/core"],
  "src/observe": ["src/core"],
  "src/config": ["src/core"],
  "src/hub": ["src/core"],
  "src/net": ["src/core"],
  "src/serve": ["src/core", "src/net"],
  kernels: ["src/core", "src/gpu"],
  models: ["src/core", "src/gpu", "kernels"],
  devices: ["src/core", "src/net", "src/signal"],
};
const PARTS = [...Object.keys(MAY_IMPORT), "src/cli"];

/** The part that holds `path`, relative to the root with forward slashes; null for one of no part. */
function partOf(path: string): string | null {
  return PARTS.find((part) => path.startsWith(`${part}/`)) ?? null;
}

/** Every module that `text` names in an import, a re-export, a dynamic import or a `new URL(..., import.meta.url)`. */
function importsOf(text: string): string[] {
  const forms = [
    /\b(?:import|export)\s[^"'`;]*?\bfrom\s*["']([^"']+)["']/g,
    /\bimport\s*["']([^"']+)["']/g,
    /\bimport\s*\(\s*["']([^"']+)["']/g,
    /\bnew URL\(\s*["']([^"']+)["']\s*,\s*import\.meta\.url/g,
  ];
  return forms.flatMap((form) => [...text.matchAll(form)].map((match) => match[1]!));
}

/** One sentence for each import of `file` that its part may not make. */
function faultsOf(file: string, text: string): string[] {
  const part = partOf(file);
  if (part === null) return [`${file}: belongs to no part of the layout`];
  const faults: string[] = [];
  for (const name of importsOf(text)) {
    if (!name.startsWith(".")) {
      if (part === "src/core" && !name.startsWith("node:")) faults.push(`${file}: ${part} imports ${name}`);
      continue;
    }
    const target = posix.normalize(posix.join(posix.dirname(file), name));
    const targetPart = partOf(target);
    if (targetPart === part || part === "src/cli") continue;
    if (targetPart === null || !MAY_IMPORT[part]!.includes(targetPart)) {
      faults.push(`${file}: ${part} may not import ${target}`);
    }
  }
  return faults;
}

function sourceFiles(): string[] {
  return ["src", "kernels", "models", "devices"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => posix.join(folder, name.replaceAll("\\", "/"))),
  );
}

describe("imports point only downward", () => {
  test("in every source file", () => {
    const files = sourceFiles();
    expect(files.length).toBeGreaterThan(5);
    expect(files.flatMap((file) => faultsOf(file, readFileSync(join(root, file), "utf8")))).toEqual([]);
  });

  test("the rule itself has no cycle", () => {
    const below = (part: string): string[] => MAY_IMPORT[part]!.flatMap((other) => [other, ...below(other)]);
    for (const part of Object.keys(MAY_IMPORT)) expect(below(part)).not.toContain(part);
  });
});

describe("the reader of imports", () => {
  test.each([
    ["src/core/clock.ts", 'import { x } from "../runtime/session.ts";'],
    ["src/core/clock.ts", 'import { z } from "zod";'],
    ["src/runtime/session.ts", 'import type { M } from "../../models/native/model.ts";'],
    ["src/runtime/session.ts", 'import {\n  a,\n  b,\n} from "../../devices/voice/voice.ts";'],
    ["src/gpu/device.ts", 'export * from "../../kernels/rms-norm/rms-norm.ts";'],
    ["kernels/rms-norm/rms-norm.ts", 'const m = await import("../../models/native/model.ts");'],
    ["models/native/model.ts", 'new Worker(new URL("../../src/cli/main.ts", import.meta.url));'],
    ["devices/file/camera.ts", 'import "../../src/timeline/timeline.ts";'],
    ["src/stray.ts", ""],
  ])("refuses %s with %s", (file, text) => {
    expect(faultsOf(file, text)).toHaveLength(1);
  });

  test.each([
    ["src/runtime/session.ts", 'import { x } from "../timeline/timeline.ts";'],
    ["models/native/model.ts", 'import { x } from "../../kernels/rms-norm/rms-norm.ts";'],
    ["kernels/rms-norm/rms-norm.ts", 'new URL("./rms-norm.wgsl", import.meta.url)'],
    ["src/cli/main.ts", 'import { x } from "../../models/native/model.ts";'],
  ])("accepts %s with %s", (file, text) => {
    expect(faultsOf(file, text)).toEqual([]);
  });
});
