import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const script = fileURLToPath(new URL("../../deploy/setup.sh", import.meta.url));

/** What the machine under test is like; each program is a stub that notes its call. */
interface Machine {
  uid: number;
  /** Packages that dpkg knows as installed, with their version. */
  installed: Record<string, string>;
  /** Packages that apt-get fails to install. */
  unavailable?: string[];
  /** What `node` says of its version, or null if there is none. */
  node?: string | null;
}

interface Outcome {
  status: number | null;
  text: string;
  calls: string[];
}

/** A project folder with setup.sh, and a PATH of stubs before a few real tools. */
class Sandbox {
  readonly root = mkdtempSync(join(tmpdir(), "microturn-setup-"));
  readonly #bin = join(this.root, "bin");
  readonly #log = join(this.root, "calls.log");

  constructor(machine: Machine) {
    mkdirSync(join(this.root, "deploy"));
    mkdirSync(this.#bin);
    copyFileSync(script, join(this.root, "deploy/setup.sh"));
    writeFileSync(join(this.root, "package-lock.json"), "{}\n");
    for (const tool of [
      "sh",
      "dirname",
      "grep",
      "tr",
      "cat",
      "cmp",
      "cp",
      "awk",
      "sed",
      "head",
      "mkdir",
      "chmod",
    ]) {
      const path = spawnSync("sh", ["-c", `command -v ${tool}`])
        .stdout.toString()
        .trim();
      symlinkSync(path, join(this.#bin, tool));
    }
    const known = Object.entries(machine.installed).map(
      ([name, version]) =>
        `${name}) [ "$2" = -f ] && case "$3" in *Status*) echo "ii ";; *) echo "${version}";; esac; exit 0;;`,
    );
    this.#stub("id", `echo ${machine.uid}`);
    this.#stub("dpkg-query", `case "$4" in ${known.join(" ")} esac; exit 1`);
    this.#stub("dpkg", `[ "$1" = --compare-versions ] && [ "\${2%%.*}" -ge "\${4%%.*}" ]`);
    this.#stub("apt-cache", "exit 0");
    this.#stub("systemctl", "exit 0");
    const failing = (machine.unavailable ?? []).map((name) => `*${name}) exit 100;;`).join(" ");
    this.#stub("apt-get", `case "$*" in ${failing} *) exit 0;; esac`);
    // npm ci leaves tsx behind, which stands for doctor here.
    this.#stub(
      "npm",
      'if [ "$1" = ci ]; then mkdir -p node_modules/.bin; printf "#!/bin/sh\\necho doctor ran\\n" > node_modules/.bin/tsx; chmod +x node_modules/.bin/tsx; else echo 10.0.0; fi',
    );
    if (machine.node !== null) {
      this.#stub(
        "node",
        `case "$1" in --version) echo ${machine.node ?? "v20.11.0"};; *) [ "${machine.node ?? "v20"}" != v18.0.0 ];; esac`,
      );
    }
  }

  #stub(name: string, body: string): void {
    const path = join(this.#bin, name);
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >> "${this.#log}"\n${body}\n`);
    chmodSync(path, 0o755);
  }

  run(...options: string[]): Outcome {
    writeFileSync(this.#log, "");
    const { status, stdout, stderr } = spawnSync("sh", [join(this.root, "deploy/setup.sh"), ...options], {
      env: { PATH: this.#bin },
    });
    return { status, text: `${stdout}${stderr}`, calls: readFileSync(this.#log, "utf8").split("\n") };
  }
}

const everything = {
  "ca-certificates": "1",
  libvulkan1: "1.3",
  ffmpeg: "5.1",
  "espeak-ng": "1.51",
  socat: "1.7.4",
  "pulseaudio-utils": "16.1",
  "alsa-utils": "1.2.8",
  "v4l-utils": "1.22.1",
  "mesa-vulkan-drivers": "25.0.7",
};

describe("setup.sh", () => {
  test("installs nothing where everything is there, and npm packages once", () => {
    const sandbox = new Sandbox({ uid: 0, installed: everything });
    const first = sandbox.run();
    expect(first.status, first.text).toBe(0);
    expect(first.calls.some((call) => call.startsWith("apt-get"))).toBe(false);
    expect(first.calls.filter((call) => call.startsWith("npm ci"))).toHaveLength(1);
    expect(first.text).toContain("doctor ran");

    const second = sandbox.run();
    expect(second.status).toBe(0);
    expect(second.calls.filter((call) => call.startsWith("npm ci"))).toHaveLength(0);
    expect(second.text).toContain("up to date");

    writeFileSync(join(sandbox.root, "package-lock.json"), '{"changed": true}\n');
    expect(sandbox.run().calls.filter((call) => call.startsWith("npm ci"))).toHaveLength(1);
  });

  test("as root installs what is missing, one by one, and survives one that cannot be had", () => {
    const { ffmpeg, ...installed } = everything;
    const { libvulkan1, ...bare } = installed;
    const { status, text, calls } = new Sandbox({ uid: 0, installed: bare, unavailable: ["ffmpeg"] }).run();
    expect(status, text).toBe(0);
    const installs = calls.filter((call) => /^apt-get .*install/.test(call));
    expect(installs.map((call) => call.split(" ").at(-1))).toEqual(["libvulkan1", "ffmpeg"]);
    expect(text).toContain("warning: ffmpeg could not be installed");
    expect(text).toContain("done, with 1 warning(s)");
  });

  test("without root asks for the administrator and goes on", () => {
    const { status, text, calls } = new Sandbox({ uid: 1000, installed: {} }).run();
    expect(status, text).toBe(0);
    expect(calls.some((call) => call.startsWith("apt-get"))).toBe(false);
    expect(text).toMatch(/apt-get install -y --no-install-recommends .*ffmpeg espeak-ng socat/);
    expect(text).toContain("CPU backend");
    expect(text).toContain("doctor ran");
  });

  test("installs broker and browser for tests only when asked, and does not leave the broker running", () => {
    const sandbox = new Sandbox({ uid: 0, installed: everything });
    expect(sandbox.run().calls.join()).not.toContain("mosquitto");
    const { calls } = sandbox.run("--with-tests");
    const places = [/^apt-get .*install .* mosquitto$/, /^systemctl disable --now mosquitto$/].map((wanted) =>
      calls.findIndex((call) => wanted.test(call)),
    );
    expect(places[0]).toBeGreaterThanOrEqual(0);
    expect(places[1]).toBeGreaterThan(places[0]!);
    expect(
      calls.filter((call) => /^apt-get .*install .* (pulseaudio|wireplumber|gstreamer1.0-tools)$/.test(call)),
    ).toHaveLength(3);
    expect(sandbox.run("--with-test").status).toBe(64);

    const onDebian = /^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"));
    expect(calls.some((call) => /^apt-get .*install .* chromium$/.test(call))).toBe(onDebian);
  });

  test("takes Debian 12's own Mesa for too old", () => {
    const { text } = new Sandbox({
      uid: 1000,
      installed: { ...everything, "mesa-vulkan-drivers": "22.3.6" },
    }).run();
    expect(text).toMatch(/apt-get install .*mesa-vulkan-drivers/);
    expect(text).not.toMatch(/apt-get install .*ffmpeg/);
  });

  test.each([
    ["is not there", null],
    ["is too old", "v18.0.0"],
  ])("stops if Node.js %s", (_, node) => {
    const { status, text, calls } = new Sandbox({ uid: 1000, installed: everything, node }).run();
    expect(status).toBe(1);
    expect(text).toContain("Node.js 20.11 or newer");
    expect(calls.some((call) => call.startsWith("npm ci"))).toBe(false);
  });
});
