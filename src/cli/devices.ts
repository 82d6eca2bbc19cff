import { listCameras } from "../../devices/camera/list-cameras.ts";
import type { DeviceLister, ListedDevice } from "../../devices/listed-device.ts";
import { listSound } from "../../devices/media/list-sound.ts";
import { listSerialPorts } from "../../devices/serial/list-ports.ts";
import { EXIT } from "../core/errors.ts";
import type { Invocation } from "./command.ts";
import type { Check } from "./doctor.ts";

/** Every kind of device that can be looked for, in the order in which they are shown. */
export const DEVICE_LISTERS: readonly DeviceLister[] = [
  { kind: "camera", list: () => listCameras() },
  { kind: "microphone", list: () => listSound("microphone") },
  { kind: "speaker", list: () => listSound("speaker") },
  { kind: "serial", list: () => listSerialPorts() },
];

function deviceLines({ path, name, state, problem, remedy }: ListedDevice): string[] {
  const lines = [`  ${path}  (${name})`];
  if (state !== "ok") lines.push(`      ${state}: ${problem}`);
  if (remedy !== undefined) lines.push(`      -> ${remedy}`);
  return lines;
}

/** `microturn devices`: what there is, what is wrong with it, and the command that mends it. */
export async function devices(
  { values, io }: Invocation,
  listers: readonly DeviceLister[] = DEVICE_LISTERS,
): Promise<number> {
  for (const { kind, list } of listers) {
    const found = await list();
    if (values.json === true) {
      for (const device of found) io.out(`${JSON.stringify({ kind, ...device })}\n`);
      continue;
    }
    io.out(`${kind}:${found.length === 0 ? " none found" : ""}\n`);
    for (const line of found.flatMap(deviceLines)) io.out(`${line}\n`);
  }
  return EXIT.ok;
}

/** What doctor says of the devices: one check for each kind, with the first fault found. */
export async function deviceChecks(listers: readonly DeviceLister[] = DEVICE_LISTERS): Promise<Check[]> {
  return Promise.all(
    listers.map(async ({ kind, list }): Promise<Check> => {
      const found = await list();
      const faulty = found.find(({ state }) => state !== "ok");
      if (faulty) {
        const { path, state, problem, remedy } = faulty;
        const detail = `${path}: ${state}: ${problem}`;
        return { name: kind, state: "warning", detail, ...(remedy === undefined ? {} : { remedy }) };
      }
      const paths = found.map(({ path }) => path).join(", ");
      return { name: kind, state: "ok", detail: paths === "" ? "none found" : paths };
    }),
  );
}
