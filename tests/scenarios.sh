#!/usr/bin/env bash
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tests/scenarios.sh [SCENARIO]      (by `make molecule`, which sets the environment)
# Makes the cluster, runs the scenario or all of them, two at a time where they do not mind, and counts.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# They count lost requests, or cordon a node: the cluster is theirs while they run.
readonly alone=(availability healthy rotation)
# The longest, so that none of them is left over at the end.
readonly longest=(verify secure clusters runbooks idempotence)
readonly lanes=2

one() { # SCENARIO: its verdict, seconds and output become files, and are printed together at its end
  local began=$SECONDS verdict=failed
  echo "molecule: $1 begins"
  # kubernetes.core keeps what a cluster offers in one file of the temporary folder, and two writers spoil it
  mkdir "$logs/$1"
  if TMPDIR="$logs/$1" molecule test --scenario-name "$1" --destroy never --no-command-borders --no-report >"$logs/$1.log" 2>&1; then
    verdict=passed
  fi
  echo "$1 $verdict $((SECONDS - began)) s" >"$logs/$1.verdict"
  flock "$logs" cat "$logs/$1.log"
}

# molecule remembers that it made a cluster, not whether the cluster still lives: the role knows better
molecule reset --scenario-name default
molecule create --scenario-name default --no-command-borders --no-report

if (($#)); then
  [[ -f molecule/$1/molecule.yml ]] || { echo "molecule/$1/molecule.yml: not found" >&2; exit 2; }
  [[ $1 == default ]] || exec molecule test --scenario-name "$1" --destroy never --no-command-borders --no-report
  exit 0
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
others=()
for folder in molecule/*/; do
  scenario=$(basename "$folder")
  [[ " default ${alone[*]} ${longest[*]} " == *" $scenario "* ]] || others+=("$scenario")
done
for scenario in "${longest[@]}" "${others[@]}"; do
  while (($(jobs -rp | wc -l) >= lanes)); do wait -n; done
  one "$scenario" &
done
wait
for scenario in "${alone[@]}"; do one "$scenario"; done

sort "$logs"/*.verdict | sed 's/^/molecule: /'
failed=$(cat "$logs"/*.verdict | grep -c ' failed ' || true)
passed=$(($(cat "$logs"/*.verdict | wc -l) - failed + 1)) # and `default`
echo "molecule: $passed passed, $failed failed"
((failed == 0))
