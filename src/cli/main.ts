import { processIo } from "./io.ts";
import { main, report } from "./program.ts";

const io = processIo();
const status = await main(process.argv.slice(2), io);
const unwritten = await io.settle();
process.exitCode = unwritten === null ? status : report(unwritten, io);
