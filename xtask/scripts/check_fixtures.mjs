// Calls `check_fixtures` of the WebAssembly module that is named first, and prints what it
// returns: the number of vectors that agree, with bit 31 set if one does not.
import { readFile } from "node:fs/promises";

const [path] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(await readFile(path), {});
console.log(instance.exports.check_fixtures() >>> 0);
