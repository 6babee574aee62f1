# The commands of this project. Each installs what it needs on a Debian or Ubuntu machine with Rust.

.PHONY: demo demo-down build test test-guest powercut kills fuzz lint bench install

## Builds homeostat and runs the quickstart example with it: an image, a container, a volume, a port.
demo:
	./scripts/demo

## Removes what `make demo` left running.
demo-down:
	./scripts/demo down

## The binary, as it is released.
build:
	./scripts/setup build
	cargo build --release --locked -p homeostat

## Every test: unit, property, golden, simulation, conformance, end-to-end. Needs root.
test:
	./scripts/setup test
	./scripts/test

## The binary on a host with systemd and cgroup v2, which is an emulated machine: installed, rebooted, without power. Needs root.
test-guest:
	./scripts/setup guest
	cargo build --locked -p homeostat
	./scripts/guest

## The power cut 520 times during pulls, builds, creations and prunes; ten minutes and more. Needs root.
powercut:
	./scripts/setup test
	HOMEOSTAT_CUTS=130 ./scripts/test --success-output final -E 'package(homeostat-crash) and binary(powercuts)'

## Killed at every system call that changes a file, one after the other; ten minutes and more. Needs root.
kills:
	./scripts/setup test
	HOMEOSTAT_EVERY_POINT=1 ./scripts/test --success-output final -E 'package(homeostat-crash) and binary(kills)'

## Every fuzz target for SECONDS each: an hour and a half in all. Needs root, since layers have devices and owners.
SECONDS ?= 600
fuzz:
	./scripts/setup build
	./scripts/fuzz $(SECONDS)

## Format, clippy with warnings denied, licences and sources of dependencies.
lint:
	./scripts/setup lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo fetch --locked
	cargo deny --offline --log-level error check bans licenses sources

## Figures beside Docker and Compose, on the same work in the same run. Needs root.
bench:
	./scripts/setup bench
	./scripts/bench

## Puts the binary and the systemd unit in place.
install: build
	install -D -m 0755 $${CARGO_TARGET_DIR:-target}/release/homeostat $(DESTDIR)/usr/bin/homeostat
	install -D -m 0644 packaging/homeostat.service $(DESTDIR)/lib/systemd/system/homeostat.service
	install -D -m 0644 packaging/config.toml $(DESTDIR)/etc/homeostat/config.toml.example
