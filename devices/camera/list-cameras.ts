import { readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { isPermitted, namesIn } from "../device-files.ts";
import type { ListedDevice } from "../listed-device.ts";

/** Where the system shows its cameras; a test puts folders of its own here. */
export interface CameraView {
  dev: string;
  sys: string;
  isPermitted(path: string): Promise<boolean>;
}

const SYSTEM: CameraView = {
  dev: "/dev",
  sys: "/sys",
  isPermitted,
};

/** The V4L2 cameras of this machine, by their links in /dev/v4l/by-id where they have one. None is opened. */
export async function listCameras(system: CameraView = SYSTEM): Promise<ListedDevice[]> {
  const links = await stableNames(join(system.dev, "v4l/by-id"));
  const nodes = (await namesIn(system.dev)).filter((name) => /^video\d+$/.test(name)).sort();
  const cameras: ListedDevice[] = [];
  for (const node of nodes) {
    const about = join(system.sys, "class/video4linux", node);
    // A camera has further nodes for its metadata; the first is the one with pictures.
    if ((await readFile(join(about, "index"), "utf8").catch(() => "0")).trim() !== "0") continue;
    const name = (await readFile(join(about, "name"), "utf8").catch(() => node)).trim();
    const path = `v4l2:${links.get(node) ?? join(system.dev, node)}`;
    if (await system.isPermitted(join(system.dev, node))) cameras.push({ path, name, state: "ok" });
    else {
      const problem = `this user may not read ${join(system.dev, node)}`;
      const remedy = 'sudo usermod -aG video "$USER", then log in again';
      cameras.push({ path, name, state: "no permission", problem, remedy });
    }
  }
  return cameras;
}

/** Link by the node that it points to. */
async function stableNames(folder: string): Promise<Map<string, string>> {
  const links = new Map<string, string>();
  for (const name of await namesIn(folder)) {
    const target = await readlink(join(folder, name)).catch(() => "");
    if (target !== "") links.set(basename(target), join(folder, name));
  }
  return links;
}
