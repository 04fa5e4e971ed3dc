# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# Run by `bash -eu` inside the node's folder: what the RUN lines of kind's own Dockerfile do.

units=/lib/systemd/system
rm -f $units/sysinit.target.wants/systemd-tmpfiles-setup.service \
  $units/multi-user.target.wants/* /etc/systemd/system/*.wants/* $units/local-fs.target.wants/* \
  $units/sockets.target.wants/*udev* $units/sockets.target.wants/*initctl* $units/basic.target.wants/*
grep -q '^ReadKMsg=no' /etc/systemd/journald.conf || echo ReadKMsg=no >>/etc/systemd/journald.conf
ln -sf /usr/lib/systemd/systemd /sbin/init
systemctl enable kubelet.service containerd.service undo-mount-hacks.service
systemctl mask systemd-binfmt.service
ctr oci spec |
  jq '.hooks.createContainer[.hooks.createContainer | length] |= . + {path: "/kind/bin/mount-product-files.sh"}
      | del(.process.rlimits)' >/etc/containerd/cri-base.json
