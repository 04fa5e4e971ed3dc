#!/usr/bin/env bash
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: tests/together.sh ABOUT TARGET...      (by `make test`; ABOUT: how long that takes, to be told)
# Makes targets side by side, shows what each said when it has ended, and meanwhile says what they are at.
set -euo pipefail

readonly heartbeat=${PLUMBLINE_HEARTBEAT:-30} about=$1
shift

logs=$(mktemp -d)
# a group of processes for each: Ctrl-C does not reach what a script has in the background
set -m
declare -A running=()
trap 'for target in "${!running[@]}"; do kill -- "-${running[$target]}" 2>/dev/null || true; done; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

at() { # TARGET: the last heading or percentage that it said
  grep -oE '^== .*|[0-9]+%\]$' "$logs/$1" | tail -n 1 | sed -E 's/^== |\]$//g' || true
}

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

echo "$* side by side: about $about; each is shown when it has ended"
for target in "$@"; do
  make --no-print-directory "$target" >"$logs/$target" 2>&1 </dev/null &
  running[$target]=$!
done
failed=()
told=0
while ((${#running[@]})); do
  sleep 0.5
  line=
  for target in "$@"; do
    [[ ${running[$target]:-} ]] || continue
    if kill -0 "${running[$target]}" 2>/dev/null; then
      line+=", $target: $(at "$target")"
      continue
    fi
    wait "${running[$target]}" || failed+=("$target")
    unset "running[$target]"
    cat "$logs/$target"
  done
  if [[ $line ]] && ((SECONDS - told >= heartbeat)); then
    told=$SECONDS
    echo "working for $(clock "$SECONDS") of about $about$line"
  fi
done
((${#failed[@]} == 0)) || { echo "failed: ${failed[*]}" >&2; exit 1; }
