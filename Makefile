# SPDX-License-Identifier: Apache-2.0
# The front door: everything here is CMake with the presets of CMakePresets.json, after setting up
# what they need. Users of CMake can do without this file.

BUILD := build/release
VENV := .venv
CMAKE := $(VENV)/bin/cmake
# A Halide 21 of your own, in place of what is installed in the system or from the package index.
HALIDE ?=
configure = PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(CMAKE) --preset $(1) $(if $(HALIDE),-DCMAKE_PREFIX_PATH='$(HALIDE)')
CONFIGURE := $(call configure,release)
# ARM kernels on a machine of another kind are cross-built; what they are made by runs here.
ARM_BUILD := build/arm
CONFIGURE_ARM := $(call configure,arm)
machine := $(shell uname -m)
is_arm_machine := $(filter aarch64 arm64,$(machine))
cross_built = $(if $(is_arm_machine),,$(filter arm_%,$(1)))
# The package index has no Halide for Linux on ARM (macOS says arm64, not aarch64).
HALIDE_PACKAGES := $(if $(HALIDE),,$(if $(filter aarch64,$(machine)),libhalide21-dev))
TOOLS := $(VENV)/tools-installed
PEERS := $(VENV)/requirements-installed
MORE_PEERS := $(VENV)/requirements-peers-installed
PLOTS := $(VENV)/plots-installed
PYTHON_TOOLS := $(VENV)/python-tools-installed
COVERAGE_TOOLS := $(VENV)/coverage-tools-installed
COVERAGE_BUILD := build/coverage
CONFIGURE_TESTS = $(CONFIGURE) -DHALNORM_TESTS=ON -DHALNORM_PYTHON=ON -DPython_EXECUTABLE='$(CURDIR)/$(VENV)/bin/python'
ARM_PACKAGES := g++-aarch64-linux-gnu
ARM_TEST_PACKAGES := $(ARM_PACKAGES) qemu-user googletest libdlpack-dev llvm-19 llvm-19-tools file pkg-config
TEST_PACKAGES := libgtest-dev libdlpack-dev libcli11-dev nlohmann-json3-dev llvm-19 llvm-19-tools valgrind \
  pkg-config python3-dev doxygen pocl-opencl-icd ocl-icd-libopencl1
FUZZ_PACKAGES := clang libclang-rt-14-dev
FUZZ_BUILD := build/address-sanitizer
FUZZ := $(FUZZ_BUILD)/tests/fuzz/halnorm_fuzz
CORPUS := tests/fuzz/corpus.txt
THREADS ?= 1
CACHE ?= warm
PROBLEMS ?=
BENCH ?= $(wildcard $(BUILD)/bench.json)
TUNE ?= $(wildcard build/tune/*.jsonl)
TARGET ?= x86_avx2
BUDGET ?=
TUNE_FLAGS ?=
BENCH_FLAGS ?=
tune_is_cross := $(call cross_built,$(TARGET))
tune_is_for_cuda := $(filter cuda_%,$(TARGET))
TUNE_BUILD := $(if $(tune_is_cross),$(ARM_BUILD),$(BUILD))
METRIC ?= $(if $(tune_is_cross),instructions,$(if $(tune_is_for_cuda),model,time))
RUNNER ?= $(if $(tune_is_cross),qemu-aarch64)
TUNE_PROBLEMS = $(or $(PROBLEMS),$(if $(filter instructions,$(METRIC)),schedules/tune/counted.txt),\
  $(if $(tune_is_for_cuda),schedules/tune/modelled.txt))

# Only its baselines are built.
BEST_TARGET = $$($(BUILD)/bench/halnorm_bench --print-target)

.PHONY: help demo test test-arm test-arm-part test-large test-torch soak sanitize fuzz mutation coverage reproducible docs \
  bench report tune install prefix-given install-build package generators arm-tests tests-configured
help:
	@echo 'make demo                    build the library, run it on activations of a real model, compare schedules'
	@echo 'make test                    build and run the tests'
	@echo 'make test-arm                run all tests of the ARM kernels, emulated'
	@echo 'make test-large              run the tests of tensors of more than 2^31 elements, which need 6 GiB free, and of'
	@echo '                             statistics of 10^8'
	@echo 'make soak [TIME=3600]        call everything from eight threads for so many seconds'
	@echo 'make test-torch              run the tests of the Python package with PyTorch, which pip gets with all'
	@echo '                             that it needs (on x86 several GB, for its wheel is that of CUDA)'
	@echo 'make docs                    make a site of the documents and of the API of halnorm.h'
	@echo 'make sanitize                run tests of the C interface under AddressSanitizer, UndefinedBehaviorSanitizer'
	@echo '                             and ThreadSanitizer, kernels included'
	@echo 'make fuzz [TIME=60]          call the C interface with what libFuzzer makes up, for so many seconds, and keep'
	@echo '                             what is new in tests/fuzz/corpus.txt'
	@echo 'make mutation [MUTANTS="name ..."]'
	@echo '                             break the kernels and the runtime in the ways of tests/mutants.toml; tests must notice'
	@echo 'make coverage                branches of runtime/ that the tests of the C interface take'
	@echo 'make reproducible            build the library twice from the last commit and compare the bytes'
	@echo 'make bench [THREADS="n ..."] [CACHE=warm, cold or both] [PROBLEMS=file, name in bench/shapes or list]'
	@echo '                             compare schedules, other libraries and what moving the same bytes costs'
	@echo 'make bench TARGET=cuda_sm80 [PROBLEMS=...] [BENCH_FLAGS=...]'
	@echo '                             the same on a CUDA GPU, in under ten minutes'
	@echo 'make tune [TARGET=x86_avx2] [BUDGET=45m] [PROBLEMS="file or problem ..."] [METRIC=time, instructions or model]'
	@echo '          [RUNNER=command] [TUNE_FLAGS=...]'
	@echo '                             search for schedules and write schedules/TARGET.sched: docs/tuning.md'
	@echo 'make report [BENCH="a.json b.json"] [TUNE=log]'
	@echo '                             draw what make bench and make tune wrote: build/report/report.html'
	@echo 'make install PREFIX=dir [TARGETS="x86_avx2 ..."]'
	@echo '                             install the library, its header, its CMake package and halnorm-generate'
	@echo 'make package [TARGETS=...]   pack them into build/packages as .deb and .tar.gz'

demo: $(TOOLS) $(PEERS)
	@scripts/require_packages.sh libbenchmark-dev
	$(CONFIGURE) -DHALNORM_BENCHMARKS=ON
	$(CMAKE) --build $(BUILD) --target minilm_layer_norm halnorm_bench
	$(CMAKE) --build $(BUILD) --target halnorm_baselines_$(BEST_TARGET)_layer_norm_forward_f32
	$(BUILD)/examples/minilm_layer_norm examples/minilm/data 20
	$(BUILD)/bench/halnorm_bench --quick

why_skipped = @sed -n '/: Skipped$$/{n;s/^/skipped: /p;};s/^SKIPPED \[[0-9]*\] /skipped: /p' $(1)/Testing/Temporary/LastTest.log
test: $(TOOLS) $(PYTHON_TOOLS) $(if $(is_arm_machine),,test-arm-part)
	@scripts/require_packages.sh $(TEST_PACKAGES)
	$(CONFIGURE_TESTS)
	$(CMAKE) --build $(BUILD)
	@$(BUILD)/tests/halnorm_check --targets
	$(VENV)/bin/ctest --preset release
	$(call why_skipped,$(BUILD))

test-large soak: tests-configured
tests-configured: $(TOOLS)
	@scripts/require_packages.sh $(TEST_PACKAGES)
	$(CONFIGURE) -DHALNORM_TESTS=ON

test-large:
	$(CMAKE) --build $(BUILD) --target halnorm_tests
	HALNORM_TEST_LARGE=1 $(BUILD)/tests/halnorm_tests --gtest_filter='*HundredMillion.*:LargeTensors.*'

soak:
	$(CMAKE) --build $(BUILD) --target halnorm_soak
	$(BUILD)/tests/halnorm_soak $(or $(TIME),3600)

# A package of a requirements file, with its hashes.
requirement = sed -n "/^$(1)==/,/[^\\\\]$$/p" $(2)
# Of the version that the benchmark compares with, there without what only CUDA needs: that PyTorch
# pins itself.
test-torch: $(TOOLS) $(PYTHON_TOOLS)
	@scripts/require_packages.sh $(TEST_PACKAGES)
	$(call requirement,torch,bench/requirements-peers.txt) | \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r /dev/stdin
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check torch
	$(CONFIGURE_TESTS)
	$(CMAKE) --build $(BUILD) --target halnorm_python halnorm_python_stub halnorm_c_functions
	$(VENV)/bin/ctest --preset release -R '^python_' -E pip_install
	$(call why_skipped,$(BUILD))

docs: $(TOOLS)
	@scripts/require_packages.sh doxygen
	$(CONFIGURE)
	$(CMAKE) --build $(BUILD) --target halnorm_docs
	@echo '$(BUILD)/docs/html/index.html'

generators: $(TOOLS)
	$(CONFIGURE)
	$(CMAKE) --build $(BUILD) --target halnorm_generators

arm-tests: generators
	@scripts/require_packages.sh $(ARM_TEST_PACKAGES)
	$(CONFIGURE_ARM) -DHALNORM_TESTS=ON
	$(CMAKE) --build $(ARM_BUILD)

# The oldest processor of ARMv8-A, and one with all that the emulator knows.
test-arm: arm-tests
	QEMU_CPU=cortex-a53 $(VENV)/bin/ctest --preset arm
	$(call why_skipped,$(ARM_BUILD))
	QEMU_CPU=max $(VENV)/bin/ctest --preset arm
	$(call why_skipped,$(ARM_BUILD))

test-arm-part: arm-tests
	QEMU_CPU=cortex-a53 $(VENV)/bin/ctest --preset arm-part
	QEMU_CPU=max $(VENV)/bin/ctest --preset arm-part

sanitize: $(TOOLS)
	@scripts/require_packages.sh $(FUZZ_PACKAGES) $(TEST_PACKAGES)
	$(call configure,address-sanitizer)
	$(CMAKE) --build build/address-sanitizer --target halnorm_tests halnorm_replay halnorm_api_c99_test
	$(VENV)/bin/ctest --preset address-sanitizer
	$(call configure,thread-sanitizer)
	$(CMAKE) --build build/thread-sanitizer --target halnorm_tests
	$(VENV)/bin/ctest --preset thread-sanitizer

# libFuzzer ends with an error, and leaves the input in $(FUZZ_BUILD), where a promise is broken.
fuzz: $(TOOLS)
	@scripts/require_packages.sh $(FUZZ_PACKAGES) $(TEST_PACKAGES)
	$(call configure,address-sanitizer)
	$(CMAKE) --build $(FUZZ_BUILD) --target halnorm_fuzz
	@rm -rf $(FUZZ_BUILD)/corpus $(FUZZ_BUILD)/kept
	@mkdir -p $(FUZZ_BUILD)/kept
	$(VENV)/bin/python -B tests/fuzz/corpus.py unpack $(CORPUS) $(FUZZ_BUILD)/corpus
	$(FUZZ) -max_len=96 -max_total_time=$(or $(TIME),60) -print_final_stats=1 -artifact_prefix=$(FUZZ_BUILD)/ $(FUZZ_BUILD)/corpus
	$(FUZZ) -max_len=96 -merge=1 $(FUZZ_BUILD)/kept $(FUZZ_BUILD)/corpus
	$(VENV)/bin/python -B tests/fuzz/corpus.py pack $(CORPUS) $(FUZZ_BUILD)/kept

# What is known already is not done again.
MUTANTS ?=
mutation: $(TOOLS)
	@scripts/require_packages.sh $(TEST_PACKAGES)
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -B tests/mutation.py --work build/mutation $(MUTANTS)

coverage: $(TOOLS) $(COVERAGE_TOOLS)
	@scripts/require_packages.sh $(TEST_PACKAGES)
	$(CONFIGURE) -B $(COVERAGE_BUILD) -DHALNORM_COVERAGE=ON -DHALNORM_TESTS=ON -DHALNORM_EXAMPLES=OFF \
	  -DHALNORM_TARGETS='x86_avx2;cuda_sm80'
	$(CMAKE) --build $(COVERAGE_BUILD) --target halnorm_tests halnorm_check halnorm_faults_tests \
	  halnorm_api_c99_test halnorm_replay halnorm_cuda_tests
	$(VENV)/bin/python -B tests/coverage.py --build $(COVERAGE_BUILD)

reproducible: $(TOOLS)
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python -B tests/reproducible.py --work build/reproducible

ifneq ($(filter cuda_%,$(TARGET)),)
# A tree of its own, with one target for CPUs, which a library has always.
CUDA_BENCH_BUILD := build/bench-cuda
bench: $(TOOLS) $(PYTHON_TOOLS)
	$(CONFIGURE) -B $(CUDA_BENCH_BUILD) -DHALNORM_EXAMPLES=OFF \
	  -DHALNORM_TARGETS='$(if $(is_arm_machine),arm_neon,x86_avx2);$(TARGET)'
	$(CMAKE) --build $(CUDA_BENCH_BUILD) --target halnorm_cuda_bench halnorm_cuda_baselines
	$(VENV)/bin/python -B bench/cuda/run.py --library=$(CUDA_BENCH_BUILD)/bench/cuda/halnorm.so \
	  --baselines=$(CUDA_BENCH_BUILD)/bench/cuda/baselines.json --json=$(CUDA_BENCH_BUILD)/bench.json $(if $(PROBLEMS),--problems='$(PROBLEMS)') $(BENCH_FLAGS)
else
bench: $(TOOLS) $(PEERS) $(MORE_PEERS)
	@scripts/require_packages.sh libbenchmark-dev
	$(CONFIGURE) -DHALNORM_BENCHMARKS=ON
	$(CMAKE) --build $(BUILD) --target halnorm_bench
	$(CMAKE) --build $(BUILD) --target halnorm_baselines_$(BEST_TARGET)
	for threads in $(THREADS); do \
	  $(BUILD)/bench/halnorm_bench --threads=$$threads --cache=$(CACHE) \
	    --json=$(BUILD)/bench$(if $(word 2,$(THREADS)),-$$threads).json \
	    $(if $(PROBLEMS),--problems=$(PROBLEMS)) || exit; done
endif

# The library is built anew with the rows that were found, and the figures of its gates recorded.
tune: $(TOOLS)
	@scripts/require_packages.sh $(TEST_PACKAGES) $(if $(tune_is_cross),$(ARM_PACKAGES) qemu-user)
	$(CONFIGURE) -DHALNORM_TESTS=ON
	$(CMAKE) --build $(BUILD) --target halnorm-tune $(if $(tune_is_for_cuda),halnorm_ptx)
	$(if $(tune_is_cross),$(CONFIGURE_ARM) -DHALNORM_TUNER=ON)
	$(if $(tune_is_cross),$(CMAKE) --build $(ARM_BUILD) --target halnorm_trial_parts)
	$(BUILD)/schedules/tune/halnorm-tune --kit=$(TUNE_BUILD)/schedules/tune/kit.json --target=$(TARGET) \
	  --log=build/tune/$(TARGET).jsonl --metric=$(METRIC) $(if $(RUNNER),--runner='$(RUNNER)') \
	  $(if $(TUNE_PROBLEMS),--problems='$(TUNE_PROBLEMS)') $(if $(BUDGET),--budget=$(BUDGET)) $(TUNE_FLAGS)
	$(CMAKE) --build $(TUNE_BUILD)
	$(if $(tune_is_cross)$(tune_is_for_cuda),,HALNORM_UPDATE_INSTRUCTIONS=1 $(BUILD)/tests/tools/halnorm_tools_tests --gtest_filter='Instructions.*')

report: $(PLOTS)
	@rm -rf build/report
	$(VENV)/bin/python -B bench/report.py --bench $(BENCH) --tune $(TUNE) --output build/report

# A tree of its own for a choice of targets, so that it does not undo that of the others.
empty :=
space := $(empty) $(empty)
comma := ,
INSTALL_BUILD := build/install$(if $(TARGETS),-$(subst $(space),-,$(strip $(TARGETS))))
is_cross := $(call cross_built,$(TARGETS))
install-build: $(if $(is_cross),generators,$(TOOLS))
	$(if $(is_cross),@scripts/require_packages.sh $(ARM_PACKAGES))
	$(if $(is_cross),$(CONFIGURE_ARM),$(CONFIGURE)) -B $(INSTALL_BUILD) -DHALNORM_TESTS=OFF -DHALNORM_EXAMPLES=OFF \
	  $(if $(TARGETS),-DHALNORM_TARGETS='$(subst $(space),;,$(strip $(TARGETS)))')
	$(CMAKE) --build $(INSTALL_BUILD)

prefix-given:
	@test -n '$(PREFIX)' || { echo 'make install needs PREFIX=dir, where to install to' >&2; exit 1; }

install: prefix-given install-build
	$(CMAKE) --install $(INSTALL_BUILD) --prefix '$(abspath $(PREFIX))'

package: install-build
	$(VENV)/bin/cpack --config $(INSTALL_BUILD)/CPackConfig.cmake -B build/packages

$(VENV)/bin/python:
	@python3 -m venv $(VENV) || { echo 'python3 with venv is needed (Debian: python3-venv)' >&2; exit 1; }

$(TOOLS): requirements.txt | $(VENV)/bin/python
	$(if $(HALIDE_PACKAGES),@scripts/require_packages.sh $(HALIDE_PACKAGES) || \
	  { echo 'Halide 21 is needed: that package or one of your own as HALIDE=dir' >&2; exit 1; })
	@echo 'Installing the packages of requirements.txt into $(VENV)'
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

$(COVERAGE_TOOLS): tests/requirements-coverage.txt | $(VENV)/bin/python
	@echo 'Installing gcovr into $(VENV)'
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

$(PYTHON_TOOLS): tests/python/requirements.txt | $(VENV)/bin/python
	@echo 'Installing nanobind, numpy and pytest into $(VENV)'
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

# Each package for itself: the benchmark shows a peer that cannot be had as absent.
$(PEERS) $(MORE_PEERS): $(VENV)/%-installed: bench/%.txt | $(VENV)/bin/python
	@echo 'Installing the peers of $< into $(VENV)'
	@missing=; for package in $$(sed -n 's/^\([^# ]*\)==.*/\1/p' $<); do \
	  $(call requirement,$$package,$<) | \
	    $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r /dev/stdin || \
	    { missing=yes; echo "warning: no $$package; the benchmark does without" >&2; }; \
	done; test -n "$$missing" || touch $@

$(PLOTS): bench/report-requirements.txt | $(VENV)/bin/python
	@echo 'Installing matplotlib into $(VENV)'
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@
