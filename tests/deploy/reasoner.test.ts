import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { COMMANDS } from "../../src/cli/commands.ts";
import { REASONER_DETAILS } from "../../src/cli/reasoner-help.ts";
import { TOPIC_ROOT } from "../../src/reasoner/protocol/topics.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (name: string) => readFileSync(join(root, "deploy/reasoner", name), "utf8");

const unit = read("microturn-reasoner@.service");
const compose = parse(read("compose.yaml")) as {
  services: Record<string, { command?: string[]; volumes?: string[]; build?: Record<string, string> }>;
};

test("unit and compose file call the reasoner with options that it has", () => {
  const command = COMMANDS.find(({ name }) => name === "reasoner")!;
  const known = Object.keys(command.options);
  const start = /^ExecStart=\S+ reasoner (.*)$/m.exec(unit)![1]!.split(" ");
  for (const words of [start, compose.services.worker!.command!]) {
    const used = words.filter((word) => word.startsWith("--")).map((word) => word.slice(2));
    expect(used.length).toBeGreaterThan(0);
    for (const option of used) expect([...known, "json"]).toContain(option);
  }
});

test("the environment that the unit explains is the one that the command reads", () => {
  const explained = unit.match(/MICROTURN_[A-Z_]+/g)!.sort();
  const documented = [...new Set(REASONER_DETAILS.match(/MICROTURN_[A-Z_]+/g))].sort();
  expect(explained).toEqual(documented);
});

test("the image copies folders that exist, and the compose file mounts files that ship or are made", () => {
  const copied = [...read("Dockerfile").matchAll(/^COPY (.+) \S+$/gm)].flatMap((match) =>
    match[1]!.split(" "),
  );
  expect(copied).toContain("src");
  for (const name of copied) expect(existsSync(join(root, name)), name).toBe(true);
  for (const service of Object.values(compose.services)) {
    for (const volume of service.volumes ?? []) {
      const from = volume.split(":")[0]!;
      // broker is what credentials.sh makes.
      if (!from.startsWith("./") || from.startsWith("./broker")) continue;
      expect(existsSync(join(root, "deploy/reasoner", from)), from).toBe(true);
    }
  }
  expect(existsSync(join(root, compose.services.worker!.build!.dockerfile!))).toBe(true);
});

test("the access rules speak of topics of this version only", () => {
  const topics = [...read("acl").matchAll(/^(?:pattern|topic) (?:read|write) (\S+)$/gm)].map(
    (match) => match[1]!,
  );
  expect(topics.length).toBeGreaterThan(10);
  for (const topic of topics) expect(topic).toMatch(new RegExp(`^(${TOPIC_ROOT}|homeassistant)/`));
});

test("the page lists every file of the folder", () => {
  const page = read("README.md");
  for (const name of [
    "mosquitto.conf",
    "acl",
    "credentials.sh",
    "microturn-reasoner@.service",
    "compose.yaml",
    "Dockerfile",
  ]) {
    expect(page).toContain(`\`${name}\``);
    expect(existsSync(join(root, "deploy/reasoner", name))).toBe(true);
  }
});
