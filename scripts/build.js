#!/usr/bin/env node
// `npm run build`: bundles js/ into index.js, compiles the Rust workspace, makes the Python runtime in target/eryx-runtime, and
// puts the addon where js/addon.js looks for it first. What is up to date is left alone.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { arch, env, exit, platform, versions } from "node:process";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.js";
import { place } from "./place.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const RELEASE = resolve(ROOT, env.CARGO_TARGET_DIR || "target", "release");

/**
 * What the build runs, and the one sentence for somebody who does not have it.
 * @type {[command: string[], sentence: string][]}
 */
const TOOLS = [
  [
    ["cargo", "--version"],
    "cargo is missing: install Rust 1.95 or newer with rustup.",
  ],
  [
    ["python3", "--version"],
    "python3 is missing: install Python 3 (on Debian: apt-get install python3 python3-pip).",
  ],
  [
    ["python3", "-m", "pip", "--version"],
    "pip is missing: install it for python3 (on Debian: apt-get install python3-pip).",
  ],
  [
    ["cc", "--version"],
    "cc is missing: install a C compiler (on Debian: apt-get install gcc libc6-dev).",
  ],
  [
    ["npm", "--version"],
    "npm is missing: install Node.js together with npm (on Debian: apt-get install npm).",
  ],
];

/** npm is a script on Windows, which only a shell starts. */
const shell = platform === "win32";

/** @param {string} message @returns {never} */
function stop(message) {
  console.error(`build: ${message}`);
  exit(1);
}

function checkTools() {
  const [major, minor] = versions.node.split(".").map(Number);
  const newEnough =
    (major === 20 && minor >= 19) ||
    (major === 22 && minor >= 12) ||
    major > 22;
  if (!newEnough) {
    stop(
      `Node.js ${versions.node} cannot run this package: install 20.19, 22.12 or newer.`,
    );
  }
  for (const [[program, ...args], sentence] of TOOLS) {
    if (spawnSync(program, args, { stdio: "ignore", shell }).status !== 0)
      stop(sentence);
  }
}

async function placeBundle() {
  try {
    const upToDate = await bundle(ROOT);
    console.log(`\n> index.js is ${upToDate ? "up to date" : "new"}`);
  } catch (/** @type {any} */ error) {
    stop(
      error.code === "ERR_MODULE_NOT_FOUND"
        ? "rolldown is missing: run npm ci."
        : `index.js: ${error.message}`,
    );
  }
}

/** @param {string} title @param {string} program @param {string[]} args */
function run(title, program, args) {
  console.log(`\n> ${title}: ${[program, ...args].join(" ")}`);
  const started = performance.now();
  const { status, error } = spawnSync(program, args, {
    cwd: ROOT,
    stdio: "inherit",
  });
  if (status !== 0)
    stop(`${title} failed${error ? ` (${error.message})` : ""}.`);
  const seconds = (performance.now() - started) / 1000;
  console.log(`> ${title}: ${seconds.toFixed(1)} s`);
}

/** As js/addon.js names the platform. */
function getTriple() {
  if (platform !== "linux") return `${platform}-${arch}`;
  /** @type {any} */
  const { header } = process.report.getReport();
  const gnu = header.glibcVersionRuntime;
  return `linux-${arch}-${gnu === undefined ? "musl" : "gnu"}`;
}

function getLibraryName() {
  if (platform === "win32") return "eryx_node.dll";
  return platform === "darwin" ? "liberyx_node.dylib" : "liberyx_node.so";
}

/** @param {string} a @param {string} b */
function isSame(a, b) {
  return (
    existsSync(b) &&
    statSync(a).size === statSync(b).size &&
    readFileSync(a).equals(readFileSync(b))
  );
}

/** A process may have the old addon mapped. */
function placeAddon() {
  const from = join(RELEASE, getLibraryName());
  const name = `eryx.${getTriple()}.node`;
  const to = join(ROOT, name);
  if (isSame(from, to)) return console.log(`\n> ${name} is up to date`);
  place(to, (beside) => copyFileSync(from, beside));
  return console.log(`\n> ${name} is new`);
}

checkTools();
await placeBundle();
// Always these arguments: another set of packages or features compiles wasmtime a second time.
run("the Rust workspace", "cargo", [
  "build",
  "--release",
  "--workspace",
  "--exclude",
  "eryx-test",
]);
run("the Python runtime", join(RELEASE, "eryx-runtime"), ["build", "."]);
placeAddon();
