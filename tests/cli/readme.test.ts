import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const read = (name: string): string => readFileSync(join(root, name), "utf8");
const packageJson = JSON.parse(read("package.json")) as { scripts: Record<string, string> };

describe("README.md", () => {
  const readme = read("README.md");

  test("lists exactly the commands that there are, with what they say of themselves", () => {
    const listed = [...readme.matchAll(/^\| `microturn ([^`]+)` \| (.+) \|$/gm)].map(
      ([, usage, summary]) => `${usage}: ${summary}`,
    );
    const expected = COMMANDS.map(
      ({ name, positionals, summary }) => `${[name, positionals].filter(Boolean).join(" ")}: ${summary}`,
    );
    expect(listed).toEqual(expected);
  });

  test("uses only options that the commands know", () => {
    for (const [, name, rest] of readme.matchAll(
      /microturn (run|bench|eval reps|eval voice|eval scenarios)( [^\n`]*)?/g,
    )) {
      const command = COMMANDS.find((candidate) => candidate.name === name)!;
      for (const [, option] of (rest ?? "").matchAll(/--([a-z]+)/g))
        expect(Object.keys(command.options)).toContain(option);
    }
  });

  test("gives the two commands of a newcomer", () => {
    expect(readme).toContain("sh deploy/setup.sh && npm run demo");
    expect(readme).toContain("sh deploy/setup.sh && npm test");
  });
});

describe.each(["README.md", "CONTRIBUTING.md"])("%s", (name) => {
  const text = read(name);

  test("links to files that exist", () => {
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
      expect(existsSync(join(root, target!)), target).toBe(true);
    }
  });

  test("names npm scripts that exist", () => {
    for (const [, script] of text.matchAll(/npm run ([a-z]+)/g))
      expect(Object.keys(packageJson.scripts)).toContain(script);
  });
});
