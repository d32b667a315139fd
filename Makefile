# The entry points. Each target is one script in Tools/; README.md says what they are for.
SHELL := /bin/bash
PREFIX ?= /usr/local
DESTDIR ?=
# What the engines compute on: cpu, cuda, vulkan or hip.
ACCEL ?= cpu
# Which engines' libraries `make engines` builds: all, or some of llama, whisper, sdcpp and piper.
ENGINES ?= all
# How long `make fuzz` fuzzes each target, which targets (all, or some with commas between), how long `make soak` takes.
SECONDS ?= 600
TARGET ?= all
MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz soak build engines lint bench install packages clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## one real job on a real model, from nothing
	@ACCEL=$(ACCEL) Tools/demo.sh

test: ## everything that tests need, then all tests
	@ACCEL=$(ACCEL) Tools/run-tests.sh

fuzz: ## fuzz what hostile files, programs and servers send (SECONDS=600, TARGET=json,...)
	@Tools/install-packages.sh --check build
	@Tests/Fuzz/fuzz.py --seconds $(SECONDS) --target $(TARGET)

soak: build ## a worker under mixed load and faults: nothing may grow (MINUTES=10)
	@Tests/Soak/soak.py --minutes $(MINUTES)

build: ## dist/: the program, its launcher and the plugins
	@Tools/install-packages.sh --check build
	@Tools/build.sh

engines: ## the engines' libraries, in .engines/ (ACCEL=cpu|cuda|vulkan|hip, ENGINES="llama ...")
	@Tools/install-packages.sh --check build
	@ACCEL=$(ACCEL) Tools/engines.sh $(ENGINES)

lint: ## format and static checks
	@Tools/lint.sh

bench: engines build ## benchmarks beside their floors
	@Tools/build.sh
	@Benchmarks/run.sh

install: build ## dist/ into PREFIX (/usr/local); DESTDIR for packagers
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" Tools/install.sh

packages: ## the Debian or Ubuntu packages that building and testing need
	@Tools/install-packages.sh test

clean: ## what was built, except the engines' libraries and downloaded models
	@rm -rf .build dist Plugins/*/.build
