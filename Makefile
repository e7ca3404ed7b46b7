# SPDX-License-Identifier: MIT
#
# The door to zseal. meson.build describes the build; what is here only calls what does the work.

.PHONY: help demo check check-fast check-vm fuzz bench build build-asan install lab format clean
.DEFAULT_GOAL := help

help: ## tells what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14 | sed 's/^/  make /'

demo: ## shows zseal at work, on a real ZFS, a software TPM and a real OpenBao, without a kernel module or hardware
	tools/setup build lab
	$(MAKE) build
	lab/build
	demo/demo

check: ## installs what is missing and runs every test
	tools/setup
	tests/run

check-fast: ## builds, then runs the unit tests and the checks of the source only
	tests/run --quick

check-vm: ## runs the tests in virtual machines only, with the kernel's ZFS and measured boots
	tools/setup lab vm test
	tests/run --stage vm

FUZZ_SECONDS ?= 600

fuzz: build-asan ## fuzzes each target for ten minutes (FUZZ_SECONDS=600), and says what is new
	ZSEAL_FIGURES=build/test-logs/figures fuzz/run build-asan $(FUZZ_SECONDS)

bench: ## measures zseal against what it replaces, and writes docs/performance.md (twenty-two minutes)
	tools/setup
	$(MAKE) build
	meson compile -C build bench-programs
	lab/build
	bench/run
	bench/run-vault

build: build/build.ninja ## builds zseal with gcc, as build/src/zseal
	meson compile -C build

build/build.ninja:
	CC=gcc meson setup build

build-asan: build-asan/build.ninja ## builds it with clang and its sanitizers, as build-asan/src/zseal
	meson compile -C build-asan

# b_lundef: clang's sanitizer functions are defined in the program that is linked, not in its libraries.
build-asan/build.ninja:
	CC=clang meson setup build-asan -Db_sanitize=address,undefined -Db_lundef=false

install: build ## installs zseal; DESTDIR and PREFIX say where, if not in /usr
	$(if $(PREFIX),meson configure build -Dprefix=$(PREFIX))
	DESTDIR=$(DESTDIR) meson install -C build

lab: ## opens a shell in the lab, with a ZFS and a TPM to try things on
	tools/setup build lab
	$(MAKE) build
	lab/build
	lab/run $${SHELL:-bash}

format: ## formats the C files that git sees as changed or new
	git ls-files -z --modified --others --exclude-standard '*.c' '*.h' | xargs -0 -r clang-format -i

clean: ## removes what was built
	rm -rf build build-asan
