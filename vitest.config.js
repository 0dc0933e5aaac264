import { defineConfig } from "vitest/config";

export default defineConfig({
  // Node 20 has no `await using` of its own.
  oxc: { target: "es2022" },
  test: {
    include: ["__test__/**/*.spec.ts"],
    pool: "forks",
    maxWorkers: 2,
    // For tests that hang: what is slow on a busy machine is no failure.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    typecheck: {
      enabled: true,
      include: ["__test__/types.spec.ts"],
      tsconfig: "__test__/tsconfig.json",
    },
  },
});
