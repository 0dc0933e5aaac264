import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** `ERYX_SOURCES=1`: the tests run js/ in place of the bundle made of it, so that nothing has to be built after a change. */
const entry = process.env.ERYX_SOURCES ? "js/index.js" : "index.js";

export default defineConfig({
  resolve: {
    alias: [
      {
        find: /^(\.\.\/)+index\.js$/,
        replacement: fileURLToPath(new URL(entry, import.meta.url)),
      },
    ],
  },
  // Node 20 has no `await using` of its own.
  oxc: { target: "es2022" },
  test: {
    include: ["__test__/**/*.spec.ts"],
    globalSetup: "__test__/global-setup.js",
    pool: "forks",
    maxWorkers: 2,
    // For tests that hang: what is slow on a busy machine is no failure.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    typecheck: {
      enabled: true,
      include: ["__test__/package/types.spec.ts"],
      tsconfig: "__test__/types.tsconfig.json",
    },
  },
});
