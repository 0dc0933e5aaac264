import { defineConfig } from "vitest/config";

export default defineConfig({
  // Node 20 has no `await using` of its own.
  oxc: { target: "es2022" },
  test: {
    include: ["__test__/**/*.spec.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    typecheck: {
      enabled: true,
      include: ["__test__/types.spec.ts"],
      tsconfig: "__test__/tsconfig.json",
    },
  },
});
