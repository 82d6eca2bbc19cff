import { constants } from "node:fs";
import { access, readdir } from "node:fs/promises";

/** True if this process may read and write the file. */
export function isPermitted(path: string): Promise<boolean> {
  return access(path, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** What a folder holds: nothing where there is no such folder, as on a machine without devices of a kind. */
export function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
