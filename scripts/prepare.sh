#!/usr/bin/env bash
# What build and tests need and Debian has: installs what is missing where it may (as root, or with a sudo that asks for no
# password), and names it where it may not. What is there is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

# need TEST PACKAGE...: the Debian packages are missing unless the test command succeeds.
missing=()
need() {
  local test="$1"
  shift
  if ! bash -c "$test" >/dev/null 2>&1; then missing+=("$@"); fi
}

need "command -v cc" gcc libc6-dev
need "command -v python3" python3
need "python3 -m pip --version" python3-pip
need "test -s /etc/ssl/certs/ca-certificates.crt" ca-certificates
need "command -v redis-server" redis-server

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  command -v apt-get >/dev/null && as_root true 2>/dev/null
}

# Where services are started at all, Debian starts that of a package when it is installed. The tests start their own.
install() {
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

command -v npm >/dev/null || echo "prepare: npm is missing: install Node.js 20.19 or 22.12 with npm" >&2
command -v cargo >/dev/null || { echo "prepare: cargo is missing: install Rust 1.95 with rustup" >&2; exit 1; }

if [ "${#missing[@]}" -gt 0 ]; then
  echo "prepare: missing: ${missing[*]}"
  # In a shell of its own, whose end takes the policy away again.
  if ! may_install; then
    echo "prepare: not allowed to install them; on Debian: apt-get install ${missing[*]}"
  elif ! (install "${missing[@]}"); then
    echo "prepare: could not install them"
  fi
fi

# Components of the toolchain; rustup adds those that are not there.
cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

# ruff and clang-format, which come as wheels. The list is copied behind them: it says which are there.
install_checks() {
  local list=scripts/requirements.txt into=target/checks
  if cmp -s "$list" "$into/requirements.txt"; then return; fi
  rm -rf "$into"
  if ! PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check \
    --target "$into" --only-binary :all: --no-deps --require-hashes -r "$list"; then
    echo "prepare: ruff and clang-format are missing: pip could not install $list into $into" >&2
    return 1
  fi
  cp "$list" "$into/requirements.txt"
}
install_checks
