import { readFile, readlink, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { isPermitted, namesIn } from "../device-files.ts";
import type { ListedDevice } from "../listed-device.ts";

/** Where the system shows its devices and processes; a test puts folders of its own here. */
export interface SystemView {
  dev: string;
  sys: string;
  proc: string;
  etc: string;
  /** True if this process may read and write the file. */
  isPermitted(path: string): Promise<boolean>;
}

const SYSTEM: SystemView = {
  dev: "/dev",
  sys: "/sys",
  proc: "/proc",
  etc: "/etc",
  isPermitted,
};

/** USB adapters and boards, the UARTs of single-board computers and Jetsons, Bluetooth. */
const PORT = /^(ttyUSB|ttyACM|ttyAMA|ttyTHS|ttymxc|rfcomm)\d+$/;
/** PC serial ports: the kernel names more than there are. */
const PC_PORT = /^ttyS\d+$/;

/**
 * The serial ports of this machine, by their links in /dev/serial/by-id where they have one, else /dev/serial/by-path.
 * None is opened: that would reset many a board. Another user's process that holds a port is only seen by root.
 */
export async function listSerialPorts(system: SystemView = SYSTEM): Promise<ListedDevice[]> {
  const names: string[] = [];
  for (const name of await namesIn(system.dev)) {
    if (PORT.test(name) || (PC_PORT.test(name) && (await hasUart(system, name)))) names.push(name);
  }
  const byPath = await linksIn(join(system.dev, "serial/by-path"));
  const byId = await linksIn(join(system.dev, "serial/by-id"));
  const ports = names.map((name) => join(system.dev, name)).sort();
  const holders = ports.length > 0 ? await holdersOf(system, ports) : new Map();
  return Promise.all(
    ports.map(async (port) => {
      const path = byId.get(port) ?? byPath.get(port) ?? port;
      const name = path === port ? "no name that outlives replugging" : port;
      return { path, name, ...(await faultOf(system, port, holders.get(port))) };
    }),
  );
}

type Fault = Pick<ListedDevice, "state" | "problem" | "remedy">;

interface Holder {
  pid: number;
  command: string;
}

async function faultOf(system: SystemView, port: string, holder: Holder | undefined): Promise<Fault> {
  if (!(await system.isPermitted(port))) {
    const group = await groupOf(system, port);
    return {
      state: "no permission",
      problem: group === null ? "only root may use it" : `only members of the group ${group} may use it`,
      remedy:
        group === null
          ? "sudo cp deploy/udev/70-microturn.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger"
          : `sudo usermod -aG ${group} "$USER" and log in again`,
    };
  }
  if (!holder) return { state: "ok" };
  const { pid, command } = holder;
  return { state: "busy", problem: `${command} (process ${pid}) has it open`, remedy: `kill ${pid}` };
}

/** The links of a folder by the files they lead to. */
async function linksIn(folder: string): Promise<Map<string, string>> {
  const links = new Map<string, string>();
  for (const name of await namesIn(folder)) {
    const link = join(folder, name);
    const target = await realpath(link).catch(() => null);
    if (target !== null) links.set(target, link);
  }
  return links;
}

/** https://www.kernel.org/doc/Documentation/ABI/stable/sysfs-tty: type 0 is a port without hardware. */
async function hasUart(system: SystemView, name: string): Promise<boolean> {
  const type = await readFile(join(system.sys, "class/tty", name, "type"), "utf8").catch(() => "0");
  return type.trim() !== "0";
}

/** The group that may use a port; null if none but root's may. */
async function groupOf(system: SystemView, port: string): Promise<string | null> {
  const { gid, mode } = await stat(port);
  if (gid === 0 || (mode & 0o060) !== 0o060) return null;
  const groups = await readFile(join(system.etc, "group"), "utf8").catch(() => "");
  const line = groups.split("\n").find((entry) => entry.split(":")[2] === String(gid));
  return line?.split(":")[0] ?? String(gid);
}

/** Which process has each port open, as far as this user may see. */
async function holdersOf(system: SystemView, ports: readonly string[]): Promise<Map<string, Holder>> {
  const holders = new Map<string, Holder>();
  for (const pid of await namesIn(system.proc)) {
    if (!/^\d+$/.test(pid)) continue;
    const folder = join(system.proc, pid, "fd");
    for (const fd of await namesIn(folder)) {
      const target = await readlink(join(folder, fd)).catch(() => "");
      if (!ports.includes(target) || holders.has(target)) continue;
      const command = await readFile(join(system.proc, pid, "comm"), "utf8").catch(() => "a process");
      holders.set(target, { pid: Number(pid), command: command.trim() });
    }
  }
  return holders;
}
