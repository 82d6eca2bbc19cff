/** A host of its own process, to be killed: drives the board at the port that its argument names, on and on. */
import { Attached } from "./attached.ts";

const host = new Attached(process.argv[2]!);
setInterval(() => host.drive(0.5), 50);
