#!/usr/bin/env bash
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tests/scenarios.sh [SCENARIO]      (by `make molecule`, which sets the environment)
# Makes the cluster, runs the scenario or all of them one after the other, and counts.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

if (($#)); then
  scenarios=("$1")
else
  scenarios=()
  for folder in molecule/*/; do
    scenario=$(basename "$folder")
    [[ $scenario == default ]] || scenarios+=("$scenario")
  done
fi

# molecule remembers that it made a cluster, not whether the cluster still lives: the role knows better
molecule reset --scenario-name default
molecule create --scenario-name default --no-command-borders --no-report

passed=1 # that was `default`
failed=()
times=()
for scenario in "${scenarios[@]}"; do
  [[ $scenario != default ]] || continue
  began=$SECONDS
  if [[ ! -f molecule/$scenario/molecule.yml ]]; then
    echo "molecule/$scenario/molecule.yml: not found" >&2
    failed+=("$scenario")
  elif molecule test --scenario-name "$scenario" --destroy never --no-command-borders --no-report; then
    passed=$((passed + 1))
  else
    failed+=("$scenario")
  fi
  times+=("$scenario $((SECONDS - began)) s")
done

((${#times[@]} == 0)) || printf 'molecule: %s\n' "${times[@]}"
((${#failed[@]} == 0)) || echo "failed: ${failed[*]}"
echo "molecule: $passed passed, ${#failed[@]} failed"
((${#failed[@]} == 0))
