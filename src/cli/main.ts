import { processIo } from "./io.ts";
import { main, report } from "./program.ts";

const io = processIo();
const status = await main(process.argv.slice(2), io);
process.exitCode = io.failure === null ? status : report(io.failure, io);
