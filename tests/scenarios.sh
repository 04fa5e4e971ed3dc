#!/usr/bin/env bash
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tests/scenarios.sh [SCENARIO]      (by `make molecule`, which sets the environment)
# Makes the cluster, runs the scenario or all of them, two at a time where they do not mind, and counts. A scenario that
# cannot be tried on this machine prints a message that begins with "Skipped: ", and counts as such. One or two that
# failed are shown, and tried once more by themselves: the last line tells who needed that, for somebody to look into.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# They count lost requests, or cordon a node and fill the others with pods: the cluster is theirs while they run.
readonly alone=(availability healthy rotation)
# The longest, so that none of them is left over at the end.
readonly longest=(certificates runbooks clusters diagnose secure idempotence verify)
readonly lanes=2
# How many minutes all of them took the last time, here
readonly minutes=${XDG_CACHE_HOME:-$HOME/.cache}/plumbline/log/scenarios.minutes

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

one() { # SCENARIO WHICH: its verdict, seconds and output become files; what it did is shown when it failed
  local began=$SECONDS verdict=failed why
  echo "molecule: $1 begins, $2, after $(clock "$SECONDS"), about $about min in all"
  # kubernetes.core keeps what a cluster offers in one file of the temporary folder, and two writers spoil it
  mkdir "$logs/$1"
  if TMPDIR="$logs/$1" molecule test --scenario-name "$1" --destroy never --no-command-borders --no-report >"$logs/$1.log" 2>&1; then
    verdict=passed
    why=$(sed -nE 's/.*"msg": "Skipped: (.*)"$/\1/p' "$logs/$1.log" | head -n 1)
    [[ -z $why ]] || verdict="skipped ($why)"
  fi
  echo "$1 $verdict after $((SECONDS - began)) s" >"$logs/$1.verdict"
  sed 's/^/molecule: /' "$logs/$1.verdict"
}

why() { # SCENARIO: the end of what it said
  echo "molecule: the end of $1, which failed"
  # a task that is tried again says FAILED on every try: nobody who looks for a failure should find these first
  sed '/^FAILED - RETRYING/d' "$logs/$1.log" | tail -n 80
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
readonly all=$((${#longest[@]} + ${#others[@]} + ${#alone[@]}))
about=$(cat "$minutes" 2>/dev/null || echo 18)
number=0
for scenario in "${longest[@]}" "${others[@]}"; do
  while (($(jobs -rp | wc -l) >= lanes)); do wait -n; done
  number=$((number + 1))
  one "$scenario" "$number of $all" &
done
wait
for scenario in "${alone[@]}"; do
  number=$((number + 1))
  one "$scenario" "$number of $all"
done

failures() { sed -n 's/ failed after .*//p' "$logs"/*.verdict; }

mapfile -t failed < <(failures)
for scenario in "${failed[@]}"; do why "$scenario"; done
tried=()
if ((${#failed[@]} <= 2)); then tried=("${failed[@]}"); fi
for scenario in "${tried[@]}"; do
  rm -rf "${logs:?}/$scenario"
  one "$scenario" "once more"
done
mapfile -t failed < <(failures)
again=()
for scenario in "${tried[@]}"; do
  if [[ " ${failed[*]} " == *" $scenario "* ]]; then why "$scenario"; else again+=("$scenario"); fi
done

sort "$logs"/*.verdict | sed 's/^/molecule: /'
mapfile -t skipped < <(sed -n 's/ skipped \(.*\) after .*/ \1/p' "$logs"/*.verdict)
passed=$((all - ${#failed[@]} - ${#skipped[@]} + 1)) # and `default` passed
summary="$passed passed, ${#failed[@]} failed${failed:+: ${failed[*]}}"
((${#skipped[@]} == 0)) || summary+=", ${#skipped[@]} skipped: $(printf '%s, ' "${skipped[@]}")"
((${#again[@]} == 0)) || summary="${summary%, }, at the second try: ${again[*]}"
echo "molecule: ${summary%, }, in $(clock "$SECONDS")"
((${#failed[@]} == 0))
mkdir -p "$(dirname "$minutes")"
echo $(((SECONDS + 30) / 60)) >"$minutes"
