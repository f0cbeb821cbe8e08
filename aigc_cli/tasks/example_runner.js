// Puts examples to a JavaScript file: the arguments are the file, the examples and the results.
// Run inside a sandbox. A line of the results is written when an example begins and when it ends.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const { createRequire } = require("node:module");
const { isDeepStrictEqual, inspect } = require("node:util");
const { pathToFileURL } = require("node:url");

const EXAMPLE_MS = 3000;
const [file, examplesFile, resultsFile] = process.argv.slice(2);

function tell(example, said) {
  fs.appendFileSync(resultsFile, JSON.stringify({ example, said }) + "\n");
}

function told(error) {
  if (!(error instanceof Error) && !(error && error.stack)) return `throws ${inspect(error)}`;
  const place = String(error.stack).match(new RegExp(path.basename(file).replace(/\W/g, "\\$&") + ":(\\d+)"));
  return `${error.name}: ${error.message}` + (place ? ` at line ${place[1]}` : "");
}

async function load(code) {
  if (/^\s*(export|import)\s/m.test(code)) {
    const module = file.replace(/\.[^.]*$/, "") + ".examples.mjs";
    fs.copyFileSync(file, module);
    Object.assign(globalThis, await import(pathToFileURL(module).href));
    return;
  }
  const module = { exports: {} };
  Object.assign(globalThis, { module, exports: module.exports, require: createRequire(path.resolve(file)) });
  vm.runInThisContext(code, { filename: file, timeout: EXAMPLE_MS });
  for (const [name, value] of Object.entries(module.exports)) globalThis[name] ??= value;
}

async function attempt({ kind, source, expected }) {
  const run = (text) => vm.runInThisContext(`(${text})`, { filename: "example", timeout: EXAMPLE_MS });
  let got;
  try {
    got = await run(source);
  } catch (error) {
    if (kind === "raises") return "";
    return told(error);
  }
  if (kind === "raises") return `it throws nothing and gives ${inspect(got)}`;
  const wanted = run(expected.replace(/\bTrue\b/, "true").replace(/\bFalse\b/, "false").replace(/\bNone\b/, "null"));
  const isEqual = isDeepStrictEqual(got, wanted) || (wanted === null && got === undefined);
  return isEqual ? "" : `got ${inspect(got, { depth: 5 })}`;
}

async function main() {
  tell(-1, null);
  try {
    await load(fs.readFileSync(file, "utf8"));
    tell(-1, "");
  } catch (error) {
    tell(-1, told(error));
  }
  const examples = JSON.parse(fs.readFileSync(examplesFile, "utf8"));
  for (const [index, example] of examples.entries()) {
    tell(index, null);
    tell(index, await attempt(example));
  }
}

main().then(() => process.exit(0));
