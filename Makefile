# SPDX-License-Identifier: Apache-2.0
# The front door: everything here is CMake with the presets of CMakePresets.json, after setting up
# what they need. Users of CMake can do without this file.

BUILD := build/release
VENV := .venv
CMAKE := $(VENV)/bin/cmake
CONFIGURE := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(CMAKE) --preset release
TOOLS := $(VENV)/tools-installed
PEERS := $(VENV)/requirements-installed
MORE_PEERS := $(VENV)/requirements-peers-installed
PLOTS := $(VENV)/plots-installed
TEST_PACKAGES := libgtest-dev libdlpack-dev libcli11-dev nlohmann-json3-dev llvm-19 llvm-19-tools valgrind
THREADS ?= 1
CACHE ?= warm
PROBLEMS ?=
BENCH ?= $(wildcard $(BUILD)/bench.json)
TUNE ?= $(wildcard build/tune/*.jsonl)
TARGET ?= x86_avx2
BUDGET ?=
TUNE_FLAGS ?=

# Only its baselines are built.
BEST_TARGET = $$($(BUILD)/bench/halnorm_bench --print-target)

.PHONY: help demo test bench report tune install
help:
	@echo 'make demo                    build the library, run it on activations of a real model, compare schedules'
	@echo 'make test                    build and run the tests'
	@echo 'make bench [THREADS="n ..."] [CACHE=warm, cold or both] [PROBLEMS=file, name in bench/shapes or list]'
	@echo '                             compare schedules, other libraries and what moving the same bytes costs'
	@echo 'make tune [TARGET=x86_avx2] [BUDGET=45m] [PROBLEMS="file or problem ..."] [TUNE_FLAGS=...]'
	@echo '                             search for schedules and write schedules/TARGET.sched: docs/tuning.md'
	@echo 'make report [BENCH="a.json b.json"] [TUNE=log]'
	@echo '                             draw what make bench and make tune wrote: build/report/report.html'
	@echo 'make install PREFIX=dir [TARGETS="x86_avx2 ..."]'
	@echo '                             install the library, its header and its CMake package'

demo: $(TOOLS) $(PEERS)
	@scripts/require_packages.sh libbenchmark-dev
	$(CONFIGURE) -DHALNORM_BENCHMARKS=ON
	$(CMAKE) --build $(BUILD) --target minilm_layer_norm halnorm_bench
	$(CMAKE) --build $(BUILD) --target halnorm_baselines_$(BEST_TARGET)_layer_norm_forward_f32
	$(BUILD)/examples/minilm_layer_norm examples/minilm/data 20
	$(BUILD)/bench/halnorm_bench --quick

test: $(TOOLS)
	@scripts/require_packages.sh $(TEST_PACKAGES)
	$(CONFIGURE) -DHALNORM_TESTS=ON
	$(CMAKE) --build $(BUILD)
	@$(BUILD)/tests/halnorm_check --targets
	$(VENV)/bin/ctest --preset release
	@sed -n '/: Skipped$$/{n;s/^/skipped: /p;}' $(BUILD)/Testing/Temporary/LastTest.log

bench: $(TOOLS) $(PEERS) $(MORE_PEERS)
	@scripts/require_packages.sh libbenchmark-dev
	$(CONFIGURE) -DHALNORM_BENCHMARKS=ON
	$(CMAKE) --build $(BUILD) --target halnorm_bench
	$(CMAKE) --build $(BUILD) --target halnorm_baselines_$(BEST_TARGET)
	for threads in $(THREADS); do \
	  $(BUILD)/bench/halnorm_bench --threads=$$threads --cache=$(CACHE) \
	    --json=$(BUILD)/bench$(if $(word 2,$(THREADS)),-$$threads).json \
	    $(if $(PROBLEMS),--problems=$(PROBLEMS)) || exit; done

# The library is built anew with the rows that were found, and the figures of its gates recorded.
tune: $(TOOLS)
	@scripts/require_packages.sh $(TEST_PACKAGES)
	$(CONFIGURE) -DHALNORM_TESTS=ON
	$(CMAKE) --build $(BUILD) --target halnorm-tune
	$(BUILD)/schedules/tune/halnorm-tune --kit=$(BUILD)/schedules/tune/kit.json --target=$(TARGET) \
	  --log=build/tune/$(TARGET).jsonl $(if $(PROBLEMS),--problems='$(PROBLEMS)') \
	  $(if $(BUDGET),--budget=$(BUDGET)) $(TUNE_FLAGS)
	$(CMAKE) --build $(BUILD)
	HALNORM_UPDATE_INSTRUCTIONS=1 $(BUILD)/tests/halnorm_tests --gtest_filter='Instructions.*'

report: $(PLOTS)
	@rm -rf build/report
	$(VENV)/bin/python -B bench/report.py --bench $(BENCH) --tune $(TUNE) --output build/report

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

# Each package for itself: the benchmark shows a peer that cannot be had as absent.
$(PEERS) $(MORE_PEERS): $(VENV)/%-installed: bench/%.txt | $(VENV)/bin/python
	@echo 'Installing the peers of $< into $(VENV)'
	@missing=; for package in $$(sed 's/#.*//' $<); do \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $$package || \
	    { missing=yes; echo "warning: no $$package; the benchmark does without" >&2; }; \
	done; test -n "$$missing" || touch $@

$(PLOTS): bench/report-requirements.txt | $(VENV)/bin/python
	@echo 'Installing matplotlib into $(VENV)'
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@
