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

one() { # SCENARIO: its verdict, seconds and output become files; what it did is shown when it failed
  local began=$SECONDS verdict=failed
  echo "molecule: $1 begins"
  # kubernetes.core keeps what a cluster offers in one file of the temporary folder, and two writers spoil it
  mkdir "$logs/$1"
  if TMPDIR="$logs/$1" molecule test --scenario-name "$1" --destroy never --no-command-borders --no-report >"$logs/$1.log" 2>&1; then
    verdict=passed
  fi
  echo "$1 $verdict $((SECONDS - began)) s" >"$logs/$1.verdict"
  sed 's/^/molecule: /' "$logs/$1.verdict"
}

why() { # SCENARIO: the end of what it said
  echo "molecule: the end of $1"
  # a task that is tried again says FAILED on every try: nobody who looks for a failure should find these first
  grep -v '^FAILED - RETRYING' "$logs/$1.log" | tail -n 80
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
mapfile -t failed < <(sed -n 's/ failed .*//p' "$logs"/*.verdict)
for scenario in "${failed[@]}"; do why "$scenario"; done
verdicts=("$logs"/*.verdict)
echo "molecule: $((${#verdicts[@]} - ${#failed[@]} + 1)) passed, ${#failed[@]} failed${failed:+: ${failed[*]}}" # and `default` passed
((${#failed[@]} == 0))
