#!/usr/bin/env bash
# `npm test`: every check there is. Ends at the first that fails and says which.
set -euo pipefail
cd "$(dirname "$0")/.."

current="start"
trap 'status=$?; if [ "$status" -ne 0 ]; then echo "test: FAILED at: $current" >&2; fi' EXIT

step() {
  current="$1"
  shift
  printf '\n=== %s\n' "$current"
  "$@"
}

in_oracle() {
  (cd oracle && "$@")
}

checks=target/checks
# Of the guest and of the oracle's guest; .clang-format-ignore has what is not ours.
check_c() {
  find crates/eryx-runtime/guest oracle/guest -name '*.[ch]' -exec "$checks/clang_format/data/bin/clang-format" --dry-run -Werror {} +
}

step "what the tests need" bash scripts/prepare.sh
installed=node_modules/.package-lock.json
if [ ! -f "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  step "development dependencies" npm ci --no-fund --no-audit
fi

step "build" node scripts/build.js
step "modules" node scripts/check-modules.js
step "cargo fmt" cargo fmt --check
step "ruff check" "$checks/bin/ruff" check
step "ruff format" "$checks/bin/ruff" format --check
step "clang-format" check_c
step "cargo clippy" cargo clippy --release --workspace --all-targets -- -D warnings
# As others depend on it.
step "cargo clippy, without internals" cargo clippy --release -p eryx -p eryx-node -- -D warnings
step "cargo test" cargo test --release --workspace
# A workspace of its own, in the same target directory.
step "oracle: cargo fmt" in_oracle cargo fmt --check
step "oracle: cargo test" in_oracle cargo test --release --locked
# Users may not have the types of Node: the API is checked without them, all else with them.
step "types of the API" npx tsc -p __test__/types.tsconfig.json
step "types" npx tsc -p .
step "lint" npm run --silent lint
step "vitest" npx vitest run
current="end"
printf '\ntest: all steps passed\n'
if ! command -v redis-server >/dev/null; then
  echo "test: without the tests of examples/redis-workers: redis-server is missing (on Debian: apt-get install redis-server)"
fi
