import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe } from "vitest";

const deploy = fileURLToPath(new URL("../../../deploy/reasoner/", import.meta.url));

/** mosquitto lives in /usr/sbin, which is not on everyone's path. */
const env = { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin` };

export const hasMosquitto = spawnSync("mosquitto", ["-h"], { env }).error === undefined;

/** A suite that needs mosquitto: skipped, and reported so, where it is absent; with REQUIRE_BROKER=1 it fails instead. */
export function describeWithBroker(name: string, body: () => void): void {
  if (!hasMosquitto && process.env.REQUIRE_BROKER === "1") {
    throw new Error(
      "mosquitto is not installed, and REQUIRE_BROKER=1 says that it must be: sh deploy/setup.sh --with-tests",
    );
  }
  describe.skipIf(!hasMosquitto)(hasMosquitto ? name : `${name} (mosquitto is not installed)`, body);
}

/** How a client gets in; spread into MqttLinkOptions. */
export interface Access {
  url: string;
  username?: string;
  password?: string;
  ca?: Buffer;
  certificate?: Buffer;
  key?: Buffer;
}

export interface MosquittoOptions {
  /** Identifiers that get a password; the worker and dashboard accounts have one anyway. */
  devices?: readonly string[];
  /** Identifiers that get a client certificate too. */
  certificates?: readonly string[];
  /** Lines that replace those of the shipped configuration with the same first word, such as max_queued_messages. */
  settings?: Readonly<Record<string, string>>;
}

/**
 * The real broker with the shipped configuration, access rules and credentials script, on free ports of 127.0.0.1 and
 * in a folder of its own. It stays on the same ports over a restart.
 */
export class Mosquitto {
  readonly #dir: string;
  readonly #passwords = new Map<string, string>();
  readonly #ports: { tcp: number; tls: number; tlsCertificate: number };
  #process: ChildProcess | null = null;
  #log = "";

  private constructor(dir: string, ports: { tcp: number; tls: number; tlsCertificate: number }) {
    this.#dir = dir;
    this.#ports = ports;
  }

  static async start(options: MosquittoOptions = {}): Promise<Mosquitto> {
    const dir = mkdtempSync(join(tmpdir(), "microturn-broker-"));
    const [tcp, tls, tlsCertificate] = await freePorts(3);
    const broker = new Mosquitto(dir, { tcp: tcp!, tls: tls!, tlsCertificate: tlsCertificate! });
    broker.#install(options);
    await broker.up();
    return broker;
  }

  get ports(): Readonly<{ tcp: number; tls: number; tlsCertificate: number }> {
    return this.#ports;
  }

  /** What mosquitto has logged so far. */
  get log(): string {
    return this.#log;
  }

  /** Bytes of memory that the broker's process holds. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.#process?.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }

  /** @param port another port than the broker's own: a proxy's. */
  tcp(username: string, port = this.#ports.tcp): Access {
    return { url: `mqtt://127.0.0.1:${port}`, ...this.#credentials(username) };
  }

  tls(username: string, port = this.#ports.tls): Access {
    return { url: `mqtts://127.0.0.1:${port}`, ...this.#credentials(username), ca: this.#file("ca.pem") };
  }

  tlsCertificate(name: string, port = this.#ports.tlsCertificate): Access {
    return {
      url: `mqtts://127.0.0.1:${port}`,
      ca: this.#file("ca.pem"),
      certificate: this.#file(`${name}.pem`),
      key: this.#file(`${name}.key`),
    };
  }

  /** Starts the broker and waits until it takes connections. */
  async up(): Promise<void> {
    const child = spawn("mosquitto", ["-c", join(this.#dir, "mosquitto.conf")], {
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = child;
    let ended = false;
    // A test run that is broken off leaves no broker behind.
    const onExit = () => child.kill("SIGKILL");
    process.once("exit", onExit);
    child.once("exit", () => {
      ended = true;
      process.off("exit", onExit);
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#log = (this.#log + text).slice(-200_000);
    });
    while (!(await answers(this.#ports.tls))) {
      if (ended) throw new Error(`mosquitto ended: ${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends the broker: SIGTERM lets it save its sessions, SIGKILL does not. */
  async down(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }

  async restart(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    await this.down(signal);
    await this.up();
  }

  /** Ends the broker and removes its folder. */
  async stop(): Promise<void> {
    await this.down("SIGKILL");
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #install({ devices = [], certificates = [], settings = {} }: MosquittoOptions): void {
    const script = join(deploy, "credentials.sh");
    const run = (...args: string[]) =>
      execFileSync("sh", [script, ...args, this.#dir], { env, encoding: "utf8" }).trim();
    run("init", "broker.test");
    for (const name of ["worker", "dashboard", ...devices]) this.#passwords.set(name, run("password", name));
    for (const name of certificates) run("certificate", name);
    copyFileSync(join(deploy, "acl"), join(this.#dir, "acl"));
    mkdirSync(join(this.#dir, "data"));
    let text = readFileSync(join(deploy, "mosquitto.conf"), "utf8")
      .replaceAll("/etc/microturn/broker", this.#dir)
      .replace("/var/lib/mosquitto/", `${join(this.#dir, "data")}/`)
      .replace("listener 8883", `listener ${this.#ports.tls} 127.0.0.1`)
      .replace("listener 8884", `listener ${this.#ports.tlsCertificate} 127.0.0.1`)
      .replace("listener 1883 127.0.0.1", `listener ${this.#ports.tcp} 127.0.0.1`);
    for (const [key, value] of Object.entries(settings)) {
      text = text.replaceAll(new RegExp(`^${key} .*$`, "gm"), `${key} ${value}`);
    }
    // As root it would become a user that may not enter this folder.
    if (process.getuid?.() === 0) text = `user root\n${text}`;
    writeFileSync(join(this.#dir, "mosquitto.conf"), text);
  }

  #credentials(username: string): { username: string; password: string } {
    const password = this.#passwords.get(username);
    if (password === undefined) throw new Error(`the test broker knows no ${username}`);
    return { username, password };
  }

  #file(name: string): Buffer {
    return readFileSync(join(this.#dir, name));
  }
}

/** Ports that nobody listens on just now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            resolve(typeof address === "object" && address ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
