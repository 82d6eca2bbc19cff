// A worker thread does not take over the loader of the thread that starts it, so the first file of the worker is
// JavaScript and brings the loader for the rest.
import { register } from "tsx/esm/api";

register();
await import("./voice-worker.ts");
