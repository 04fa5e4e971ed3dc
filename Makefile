# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test lint unit molecule faults bench scale cluster venv clean distclean

BED := tests/kind/bed
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/plumbline

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PLUMBLINE_INVENTORY := $(CACHE)/inventory.yml
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.venv/collections
export MOLECULE_GLOB := molecule/*/molecule.yml

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: cluster ## See the tutorial happen and be verified on a real cluster, which stays
	@ansible-playbook --inventory $(PLUMBLINE_INVENTORY) plumbline.kubernetes.quickstart

test: venv ## Run all checks and tests
	@tests/together.sh 2:30 lint unit
	@$(MAKE) --no-print-directory molecule

lint: venv ## Run all linters and ansible-test sanity
	@tests/lint.sh

unit: venv ## Run the unit tests
	@$(BED) browser
	@pytest

molecule: cluster ## Run the scenarios on the real cluster, or one: SCENARIO=<name>
	@tests/scenarios.sh $(SCENARIO)

faults: cluster ## Break a real cluster of its own in every known way, and see whether the right cause is named
	@ansible-playbook --inventory $(PLUMBLINE_INVENTORY) tests/faults/cluster.yml
	@PYTHONPATH=$(ANSIBLE_COLLECTIONS_PATH) python tests/faults/run.py --inventory $(PLUMBLINE_INVENTORY) --record tests/faults/recorded $(CASES)

bench: cluster ## Measure our modules beside kubernetes.core and the goals, `scale` with it
	@python tests/bench/bench.py

scale: cluster ## Of that, only a survey of 1,000 Services, on a cluster of its own with pretended pods
	@python tests/bench/scale.py

venv: ## Make the Python environment .venv
	@$(BED) venv

cluster: ## Make this machine ready for the cluster: Docker, kind, images
	@$(BED) up

clean: ## Remove the clusters, stop what we started
	@$(BED) down

distclean: ## Remove the caches and .venv as well
	@$(BED) purge
