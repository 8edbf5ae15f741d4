# Two commands for a machine with Python ≥ 3.11, git and make: `make demo` and `make test`.
# All set-up goes into .hatch/ (the build tool) and .venv/ (the packages of this repository).

PYTHON ?= python3
SOURCE ?=
QUESTIONS ?=
MINUTES ?= 30
HATCH  := .hatch/bin/hatch

# Else it would write into the home folder.
export HATCH_CONFIG := .hatch/config.toml
export HATCH_DATA_DIR := .hatch/data
export HATCH_CACHE_DIR := .hatch/cache

# Written once at installation, so that no command compiles the libraries again.
export UV_COMPILE_BYTECODE = 1

.PHONY: help demo up test test-faults soak bench-retrieval lint types check build clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(HATCH_CONFIG) ## start the bus, store and embed documents, ask questions (SOURCE="files folders URL")
	@QUESTIONS="$(QUESTIONS)" $(HATCH) run demo $(SOURCE)

up: $(HATCH_CONFIG) ## run the bus until Ctrl-C, and print how to call it
	@$(HATCH) run up; code=$$?; [ $$code -eq 254 ] || [ $$code -eq 130 ] || exit $$code

test: $(HATCH_CONFIG) ## run all tests (ARGS="-k name")
	@$(HATCH) run test $(ARGS)

test-faults: $(HATCH_CONFIG) ## kill, stop and cut servers and workers under load (MENOS_FAULT_SEED)
	@$(HATCH) run test-faults $(ARGS)

soak: $(HATCH_CONFIG) ## mix all faults under steady load for MINUTES
	@$(HATCH) run soak $(MINUTES)

bench-retrieval: $(HATCH_CONFIG) ## measure ingest and search on a BEIR-style folder (DATA=folder)
	@$(HATCH) run bench-retrieval $(DATA)

lint: $(HATCH_CONFIG) ## check style and the direction of imports
	@$(HATCH) run lint

types: $(HATCH_CONFIG) ## check types
	@$(HATCH) run types

check: lint types test ## everything that CI checks

build: $(HATCH_CONFIG) ## build a wheel of every package into dist/
	@$(HATCH) run wheels dist

clean: ## remove what make has installed (not the data in .menos and .menos-demo)
	rm -rf .hatch .venv dist

$(HATCH_CONFIG): $(HATCH)
	@touch $@

$(HATCH):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "menos-bus needs Python 3.11 or newer: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Setting up (once; a minute or two) …"
	@$(PYTHON) -m venv .hatch || \
	  { rm -rf .hatch; echo "Python's venv module is missing (Debian: apt install python3-venv)"; exit 1; }
	@.hatch/bin/python -m pip install --quiet --disable-pip-version-check 'hatch>=1.18,<2' 'uv>=0.5' || \
	  { rm -rf .hatch; exit 1; }
