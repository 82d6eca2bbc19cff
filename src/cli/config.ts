import { stringify } from "yaml";
import { loadProfile, parseProfile, profileJsonSchema, redactedProfile } from "../config/profile.ts";
import { EXIT } from "../core/errors.ts";
import { type Invocation, requiredArgument } from "./command.ts";

/** `microturn config check PROFILE.yaml` */
export async function configCheck(invocation: Invocation): Promise<number> {
  const path = requiredArgument(invocation, "config check", "PROFILE.yaml");
  await loadProfile(path);
  const { io, values } = invocation;
  io.out(values.json === true ? `${JSON.stringify({ profile: path, valid: true })}\n` : `${path}: valid\n`);
  return EXIT.ok;
}

/** `microturn config print [PROFILE.yaml]` */
export async function configPrint({ values, positionals, io }: Invocation): Promise<number> {
  const path = positionals[0];
  const profile = redactedProfile(
    path === undefined ? parseProfile({}, "defaults") : await loadProfile(path),
  );
  io.out(values.json === true ? `${JSON.stringify(profile)}\n` : stringify(profile));
  return EXIT.ok;
}

/** `microturn config schema` */
export async function configSchema({ values, io }: Invocation): Promise<number> {
  io.out(`${JSON.stringify(profileJsonSchema(), null, values.json === true ? 0 : 2)}\n`);
  return EXIT.ok;
}
