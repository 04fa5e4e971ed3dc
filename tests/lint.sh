#!/usr/bin/env bash
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tests/lint.sh      (by `make lint`, which sets the environment)
# Runs every linter, then fails if one of them did.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

failed=()
passed=0
check() { # NAME COMMAND...
  local name=$1
  shift
  echo "== $name"
  if "$@"; then passed=$((passed + 1)); else failed+=("$name"); fi
}

mapfile -t scripts < <(git ls-files -z | xargs -0 -r grep -lE '^#!(/usr/bin/env bash|/bin/sh|/bin/bash)$|^# shellcheck shell=')

check "ruff" ruff check
check "ruff format" ruff format --check
check "mypy" mypy
check "mypy, test bed" env MYPYPATH=tests/kind mypy --config-file tests/kind/mypy.ini
check "yamllint" yamllint --strict .
check "ansible-lint" ansible-lint
check "shellcheck" shellcheck "${scripts[@]}"
check "changelog" antsibull-changelog lint
check "ansible-test sanity" python tests/sanity.py

((${#failed[@]} == 0)) || printf 'failed: %s\n' "${failed[@]}"
echo "lint: $passed passed, ${#failed[@]} failed"
((${#failed[@]} == 0))
