# SPDX-License-Identifier: Apache-2.0
# The front door: everything here is CMake with the presets of CMakePresets.json, after setting up
# what they need. Users of CMake can do without this file.

BUILD := build/release
VENV := .venv
CMAKE := $(VENV)/bin/cmake
CONFIGURE := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(CMAKE) --preset release
TOOLS := $(VENV)/tools-installed
PEERS := $(VENV)/peers-installed
THREADS ?= 1
PROBLEMS ?=

.PHONY: help demo test bench install
help:
	@echo 'make demo                    build the library, run it on activations of a real model, compare schedules'
	@echo 'make test                    build and run the tests'
	@echo 'make bench [THREADS=n] [PROBLEMS=file, name in bench/shapes or list]'
	@echo '                             compare schedules, oneDNN and what moving the same bytes costs'
	@echo 'make install PREFIX=dir [TARGETS="x86_avx2 ..."]'
	@echo '                             install the library, its header and its CMake package'

demo: $(TOOLS) $(PEERS)
	@scripts/require_packages.sh libbenchmark-dev
	$(CONFIGURE) -DHALNORM_BENCHMARKS=ON
	$(CMAKE) --build $(BUILD) --target minilm_layer_norm halnorm_bench
	$(BUILD)/examples/minilm_layer_norm examples/minilm/data 20
	$(BUILD)/bench/halnorm_bench --quick

test: $(TOOLS)
	@scripts/require_packages.sh libgtest-dev libdlpack-dev llvm-19 llvm-19-tools
	$(CONFIGURE) -DHALNORM_TESTS=ON
	$(CMAKE) --build $(BUILD)
	@$(BUILD)/tests/halnorm_check --targets
	$(VENV)/bin/ctest --preset release
	@sed -n '/: Skipped$$/{n;s/^/skipped: /p;}' $(BUILD)/Testing/Temporary/LastTest.log

bench: $(TOOLS) $(PEERS)
	@scripts/require_packages.sh libbenchmark-dev
	$(CONFIGURE) -DHALNORM_BENCHMARKS=ON
	$(CMAKE) --build $(BUILD) --target halnorm_bench
	$(BUILD)/bench/halnorm_bench --threads=$(THREADS) --json=$(BUILD)/bench.json \
	  $(if $(PROBLEMS),--problems=$(PROBLEMS))

# A tree of its own for a choice of targets, so that it does not undo that of the others.
empty :=
space := $(empty) $(empty)
comma := ,
INSTALL_BUILD := build/install$(if $(TARGETS),-$(subst $(space),-,$(strip $(TARGETS))))
install: $(TOOLS)
	@test -n '$(PREFIX)' || { echo 'make install needs PREFIX=dir, where to install to' >&2; exit 1; }
	$(CONFIGURE) -B $(INSTALL_BUILD) -DHALNORM_TESTS=OFF -DHALNORM_EXAMPLES=OFF \
	  -DCMAKE_INSTALL_PREFIX='$(abspath $(PREFIX))' $(if $(TARGETS),-DHALNORM_TARGETS='$(subst $(space),;,$(strip $(TARGETS)))')
	$(CMAKE) --build $(INSTALL_BUILD)
	$(CMAKE) --install $(INSTALL_BUILD)

$(VENV)/bin/python:
	@python3 -m venv $(VENV) || { echo 'python3 with venv is needed (Debian: python3-venv)' >&2; exit 1; }

$(TOOLS): requirements.txt | $(VENV)/bin/python
	@echo 'Installing halide, cmake and ninja into $(VENV)'
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

$(PEERS): bench/requirements.txt | $(VENV)/bin/python
	@echo 'Installing the peers of the benchmark into $(VENV)'
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@
