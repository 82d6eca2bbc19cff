import { test } from "vitest";
import { expectDeafToItself } from "../devices/echo/own-voice.ts";

test(
  "ten minutes of speech beside an open microphone: it never hears itself, and always the person",
  () => expectDeafToItself(600),
  1_200_000,
);
