#!/usr/bin/env bash
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: image.sh add BASE NAME CHANGE     an image of the files of BASE, its configuration changed by the jq filter CHANGE
#        image.sh remove NAME
# Runs on a node, whose images may have been unpacked long ago: no file of theirs is read, or has to be there any more.
set -euo pipefail

ctr() { command ctr --namespace=k8s.io "$@"; }
digest_of() { ctr images list "name==$1" | awk 'NR == 2 {print $3}'; }

add() { # BASE NAME CHANGE
  local base=$1 name=$2 change=$3 digest
  cd "$folder"
  mkdir -p blobs/sha256
  ctr content get "$(digest_of "$base")" >manifest
  # an index of images for many machines, of which the node has one
  for digest in $(jq -r '.manifests[]?.digest' manifest); do
    if ctr content get "$digest" >one; then mv one manifest && break; fi
  done
  ctr content get "$(jq -r .config.digest manifest)" | jq -c "$change" >config
  jq -c --argjson config "$(blob config)" '.config += $config' manifest >changed
  jq -c -n --arg type "$(jq -r .mediaType manifest)" --arg name "$name" --argjson changed "$(blob changed)" \
    '{schemaVersion: 2, manifests: [{mediaType: $type, annotations: {"io.containerd.image.name": $name}} + $changed]}' \
    >index.json
  echo '{"imageLayoutVersion": "1.0.0"}' >oci-layout
  tar -c oci-layout index.json blobs | ctr images import --local --no-unpack -
}

blob() { # FILE: keeps it under its digest, and says which that is
  local digest
  digest=$(sha256sum <"$1" | cut -d ' ' -f 1)
  cp "$1" "blobs/sha256/$digest"
  printf '{"digest": "sha256:%s", "size": %s}' "$digest" "$(stat -c %s "$1")"
}

remove() { # NAME: and the one that the kubelet's side gave it
  local digest names
  digest=$(digest_of "$1")
  [[ -n $digest ]] || return 0
  mapfile -t names < <(ctr images list -q "target.digest==$digest")
  ctr images remove --sync "${names[@]}"
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$@"
