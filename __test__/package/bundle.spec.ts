import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as shipped from "../../index.js";
import { renderBundle } from "../../scripts/bundle.js";
import { getNodeStdout } from "../helpers.js";

const root = new URL("../..", import.meta.url);
const text = (path: string) => readFileSync(new URL(path, root), "utf8");

describe("the package's one file", () => {
  it("is what is in js/: else it has to be built again", async () => {
    expect(text("index.js")).toBe(await renderBundle(root.pathname));
  });

  it("exports what index.d.ts declares, and nothing else", () => {
    const values = /^export declare (?:class|const|function) (\w+)/gm;
    const declared = [...text("index.d.ts").matchAll(values)];
    const names = declared.map(([, name]) => name);
    expect(Object.keys(shipped).sort()).toEqual([...new Set(names)].sort());
  });

  it("imports nothing: each import takes time in a new process", () => {
    expect(text("index.js")).not.toMatch(/^import\b/m);
  });
});

describe("what a process has not needed", () => {
  /** Whether ajv is loaded after the import, and what `steps` push to `found`. */
  const loaded = (steps: string) => `
    import Module from "node:module";
    const ajv = () => Object.keys(Module._cache).some((file) => /[\\\\/]ajv[\\\\/]/.test(file));
    const { Sandbox } = await import("@bsull/eryx");
    const found = [ajv()];
    ${steps}
    console.log(found.join());`;

  it("is not loaded: ajv without a JSON Schema", async () => {
    const source = loaded(`
      const sandbox = new Sandbox({ callbacks: { f: (x) => x, g: { fn: () => 1, parameters: ["a"] } } });
      await sandbox.execute("await f(1)");
      found.push(ajv());
      const schema = { type: "object", properties: { a: { type: "string" } } };
      const checked = new Sandbox({ callbacks: { f: { fn: () => 1, schema } } });
      found.push(ajv());
      const { value } = await checked.execute("try:\\n    await f(a=1)\\nexcept TypeError as error:\\n    result = str(error)\\nresult");
      found.push(value);`);
    expect(await getNodeStdout(source)).toBe(
      "false,false,true,f(): a: must be string",
    );
  });

  it("is not loaded: the runtime, until there is a sandbox", async () => {
    const source = `
      process.env.ERYX_RUNTIME_DIR = "/nonexistent/runtime";
      const { Sandbox, versions } = await import("@bsull/eryx");
      console.log(/^\\d+\\.\\d+\\.\\d+/.test(versions.eryx));
      try { new Sandbox(); } catch (error) { console.log(error.code); }`;
    expect(await getNodeStdout(source)).toBe("true\nERYX_INITIALIZATION");
  });
});

describe("the addon", () => {
  it("is the one that require has, whoever comes first", async () => {
    const source = `
      import Module, { createRequire } from "node:module";
      const eryx = await import("@bsull/eryx");
      const require = createRequire(import.meta.url);
      const [file] = Object.keys(Module._cache).filter((name) => name.endsWith(".node"));
      const { exports, loaded, filename } = Module._cache[file];
      console.log(require(file) === exports, loaded, filename === file, typeof exports.Sandbox);`;
    expect(await getNodeStdout(source)).toBe("true true true function");
  });
});
