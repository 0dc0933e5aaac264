// Fails if modules of the Rust crates depend on each other in a circle. Looked at are, in each folder, its files, each with the
// folder of the same name as one: what is in that may use what is above it, but no neighbour may use one that uses it.
import fs from "node:fs";
import path from "node:path";

/** An event can carry the sessions that a fork made, which are objects of a class, and sessions send events. */
const EXPECTED = new Set(["crates/eryx-node/src: events uses session"]);

const crates = fs.readdirSync("crates").map((name) => `crates/${name}/src`);
const circles = crates.flatMap((root) => findCircles(root));
for (const circle of circles) console.error(`a circle of modules: ${circle}`);
if (circles.length > 0) process.exit(1);

/** @param {string} root */
function findCircles(root) {
  const modules = new Map(
    listModules(root).map((file) => [toModule(file, root), file]),
  );
  const reexports = readReexports(`${root}/lib.rs`);
  const uses = [...modules].flatMap(([module, file]) =>
    readUses(file, module).map((used) => [
      module,
      resolve(used, modules, reexports),
    ]),
  );
  const unexpected = uses.filter(
    ([from, to]) => !EXPECTED.has(`${root}: ${from} uses ${to}`),
  );
  const folders = new Set(
    [...modules.keys()].map((module) => parentOf(module)),
  );
  return [...folders].flatMap((folder) =>
    findKnots(usesWithin(folder, unexpected)).map(
      (knot) => `${root}: ${folder || "crate"}::{${knot.join(", ")}}`,
    ),
  );
}

/** @param {string} root */
function listModules(root) {
  const files = fs
    .readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((file) => path.join(root, file));
  const isTest = (/** @type {string} */ file) =>
    /(^|[/_])tests?([/_.]|$)/.test(path.relative(root, file));
  return files.filter((file) => file.endsWith(".rs") && !isTest(file));
}

/**
 * @param {string} file
 * @param {string} root
 */
function toModule(file, root) {
  const module = path.relative(root, file).slice(0, -3).replaceAll("/", "::");
  return module === "lib" || module === "main" ? "" : module;
}

/** @param {string} module */
function parentOf(module) {
  return module.split("::").slice(0, -1).join("::");
}

/**
 * The paths that a file uses, from the crate's root. Its unit tests do not count.
 *
 * @param {string} file
 * @param {string} module
 */
function readUses(file, module) {
  const [code] = fs
    .readFileSync(file, "utf8")
    .replaceAll(/\/\/.*/g, "")
    .split(/#\[cfg\(test\)\]\s*mod \w+ \{/);
  const uses = code.matchAll(
    /\b(crate|super)::((?:super::)*)([\w:]*(?:\{[^;]*?\}(?=;))?)/g,
  );
  return [...uses].flatMap(([, first, more, rest]) => {
    const ups =
      first === "crate" ? Infinity : 1 + more.length / "super::".length;
    const base = module.split("::").slice(0, ups === Infinity ? 0 : -ups);
    return expandTree(rest).map((used) =>
      [...base, ...used.split("::")].filter(Boolean),
    );
  });
}

/**
 * `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
 *
 * @param {string} tree
 * @returns {string[]}
 */
function expandTree(tree) {
  const open = tree.indexOf("{");
  if (open < 0) return [tree.trim().replace(/ as .*/, "")];
  const prefix = tree.slice(0, open).trim();
  const parts = [""];
  let depth = 0;
  for (const character of tree.slice(open + 1, tree.lastIndexOf("}"))) {
    if (character === "{") depth += 1;
    if (character === "}") depth -= 1;
    if (character === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += character;
  }
  return parts.flatMap((part) => expandTree(part)).map((part) => prefix + part);
}

/**
 * Where names that a crate's root shows are from.
 *
 * @param {string} file
 * @returns {Map<string, string>}
 */
function readReexports(file) {
  if (!fs.existsSync(file)) return new Map();
  const statements = fs
    .readFileSync(file, "utf8")
    .matchAll(/^pub(?:\(crate\))? use ([^;]+);/gm);
  const paths = [...statements].flatMap(([, tree]) => expandTree(tree));
  return new Map(
    paths.map((used) => [used.split("::").pop() ?? "", parentOf(used)]),
  );
}

/**
 * The module that a path leads to or into.
 *
 * @param {string[]} used
 * @param {Map<string, string>} modules
 * @param {Map<string, string>} reexports
 */
function resolve(used, modules, reexports) {
  for (let length = used.length; length > 0; length -= 1) {
    const module = used.slice(0, length).join("::");
    if (modules.has(module)) return module;
  }
  return reexports.get(used[0]) ?? "";
}

/**
 * Which of a folder's files use which others.
 *
 * @param {string} folder
 * @param {string[][]} uses
 * @returns {Map<string, Set<string>>}
 */
function usesWithin(folder, uses) {
  const prefix = folder === "" ? "" : `${folder}::`;
  const toFile = (/** @type {string} */ module) =>
    module.startsWith(prefix) ? module.slice(prefix.length).split("::")[0] : "";
  const within = new Map();
  for (const [from, to] of uses.map((pair) => pair.map(toFile))) {
    if (from === "" || to === "" || from === to) continue;
    within.set(from, (within.get(from) ?? new Set()).add(to));
  }
  return within;
}

/**
 * Files that use each other, directly or by way of others.
 *
 * @param {Map<string, Set<string>>} uses
 */
function findKnots(uses) {
  const reached = new Map(
    [...uses.keys()].map((file) => [file, findReached(file, uses)]),
  );
  const isCaught = (/** @type {string} */ file) => reached.get(file)?.has(file);
  const knots = [...uses.keys()]
    .filter(isCaught)
    .map((file) =>
      [...(reached.get(file) ?? [])]
        .filter((other) => reached.get(other)?.has(file))
        .sort(),
    );
  return [...new Map(knots.map((knot) => [knot.join(), knot])).values()];
}

/**
 * @param {string} file
 * @param {Map<string, Set<string>>} uses
 * @returns {Set<string>}
 */
function findReached(file, uses) {
  /** @type {Set<string>} */
  const reached = new Set();
  const open = [file];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const used of uses.get(next) ?? []) {
      if (!reached.has(used)) open.push(used);
      reached.add(used);
    }
  }
  return reached;
}
