# All targets set up what they need. This requires Python 3.11 or newer, Rust and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# All features of the crate except `python`.
FEATURES := serde,rayon,deep-drop,tokio,futures,tower,tracing,carrier,http,signing
VERSIONS := 3.11 3.12 3.13 3.14 3.15
# The target directory of cargo, and the number of rounds of `make bench-rust`, whose spread shows noise.
TARGET := $(or $(CARGO_TARGET_DIR),target)
ROUNDS ?= 3
# The tests that depend on how variables are set: in place, or without knowledge of the layout of native
# contexts, which CTXVARS_DIRECT=0 demands.
CONTEXT_TESTS := $(addprefix tests/,contextvars observation scopes changes gc hostile isolation propagation threads) \
    $(addprefix tests/in_place/,test_caches.py test_random.py test_verification.py)
# Lets another environment import the package.
HERE := PYTHONPATH=$(abspath python)
# Installs Redis, if it is missing, on Debian and as root.
REDIS := @command -v redis-server >/dev/null || { apt-get update && apt-get install -y redis-server; } >/dev/null
SOURCES := $(shell find src -name '*.rs') build.rs Cargo.toml Cargo.lock

.PHONY: demo demo-engines test test-quick test-rust lint test-python test-foreign test-engines test-page \
    test-all test-free-threaded compatibility wheel sdist release-check bench bench-rust docs msrv \
    check-no-std check-growth check-memory check-mutants fuzz-rust fuzz-headers clean help

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

demo: $(BIN)/.built ## Run each example on the standard library and on ctxvars, and two services; check the outputs.
	$(BIN)/python examples/compare.py
	$(BIN)/python examples/two_services.py

demo-engines: $(BIN)/.built $(VENV)/.engines ## Run the two services with the jobs on a cluster of Dask, then on workers of Celery.
	$(REDIS)
	$(HERE) $(VENV)/engines/bin/python examples/two_services.py --engine dask
	$(HERE) $(VENV)/engines/bin/python examples/two_services.py --engine celery

test: test-rust lint test-python ## Run all that a commit must pass: Rust tests, linters, type checkers, Python tests.

test-quick: $(BIN)/.built ## Run most tests in under two minutes: those of Python that are not slow, fewer random ones of Rust.
	$(BIN)/ruff check .
	$(BIN)/python -m pytest --numprocesses=logical --quiet -m "not slow"
	PROPTEST_CASES=8 cargo test --quiet --features $(FEATURES) --lib --test rust

# Maps compare fingerprints by SIMD on x86-64 and AArch64. The second clippy compiles the code for other
# processors, in seconds. The tests of this code run on all processors.
test-rust: ## Format, lint, test and document the Rust crate, without Python.
	cargo fmt --check
	cargo check --no-default-features
	cargo clippy --all-targets --features $(FEATURES) -- -D warnings
	cargo clippy --features $(FEATURES) -- -D warnings --cfg no_simd
	cargo test --features $(FEATURES)
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items --features $(FEATURES)

lint: $(BIN)/.built ## Lint and type-check the Python code, its stubs and the Rust binding.
	PYO3_PYTHON=$(abspath $(BIN)/python) cargo clippy --features python -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m mypy.stubtest ctxvars --mypy-config-file pyproject.toml \
	    --allowlist tests/typing/stubtest_allowlist.txt --ignore-unused-allowlist

test-python: $(BIN)/.built ## Run all Python tests on the default interpreter, and those of contexts without setting in place, too.
	$(BIN)/python -m pytest --numprocesses=logical
	CTXVARS_DIRECT=0 $(BIN)/python -m pytest --numprocesses=logical --quiet -m "not slow" $(CONTEXT_TESTS)

test-foreign: $(BIN)/.built ## Run test suites of CPython and other packages, on the originals and on ctxvars, and compare.
	$(BIN)/python -m pytest tests/foreign

test-engines: $(BIN)/.built $(VENV)/.engines ## Send portable variables through Celery, Dask, Ray and others; Redis is needed, or root to install it.
	$(REDIS)
	$(HERE) $(VENV)/engines/bin/python -m pytest tests/engines --ignore tests/engines/queues/test_arq.py
	$(HERE) $(VENV)/arq/bin/python -m pytest tests/engines/queues/test_arq.py

test-page: $(BIN)/.built $(VENV)/.page ## Show the pages of explain-class and trace in a headless browser; Chromium is needed, or root to install it.
	@{ command -v chromium || command -v google-chrome || { apt-get update && apt-get install -y chromium; }; } >/dev/null
	$(BIN)/python -m pytest tests/pages

test-all: $(READY) ## Run all Python tests from a wheel on CPython 3.11 to 3.15 (as root, for those of Debian); TESTS=... selects.
	$(BIN)/python scripts/every_python.py $(TESTS)

test-free-threaded: $(READY) ## Run all Python tests on a free-threaded CPython 3.14, if pyenv has one (pyenv install 3.14t).
	$(BIN)/python scripts/every_python.py --only 3.14t tests --hypothesis-profile=few

compatibility: $(READY) ## Write docs/reference/compatibility.md from the results of the last make test-all.
	$(BIN)/python -m scripts.compatibility_page $(VERSIONS:%=$(VENV)/pythons/%/outcomes.json)

wheel: $(READY) ## Build a wheel for $(PYTHON) into dist, optimised for scripts/training.py; needs llvm-tools, llvm or root.
	scripts/with_llvm_profdata.sh $(BIN)/maturin build --release --pgo --quiet --interpreter $(BIN)/python --out dist

sdist: $(READY) ## Make the source distribution in dist.
	$(BIN)/maturin sdist --out dist

release-check: $(READY) ## Make a wheel and a source distribution, build that one offline, and check all that a release needs.
	$(BIN)/python -m pip install --quiet --group release
	rm -rf target/release-check
	$(BIN)/maturin build --release --quiet --locked --interpreter $(BIN)/python --out target/release-check
	$(BIN)/maturin sdist --out target/release-check
	$(BIN)/python -m scripts.release.check target/release-check/*
	mkdir target/release-check/source && tar --extract --gzip --strip-components=1 \
	    --file target/release-check/ctxvars-*.tar.gz --directory target/release-check/source
	cd target/release-check/source && CARGO_TARGET_DIR=$(abspath $(TARGET)) $(abspath $(BIN))/maturin build \
	    --release --quiet --locked --offline --interpreter $(abspath $(BIN))/python --out ../offline
	$(PYTHON) -m venv target/release-check/venv
	target/release-check/venv/bin/python -m pip install --quiet --no-deps target/release-check/offline/*.whl
	cd target/release-check && venv/bin/python -m ctxvars --version && \
	    venv/bin/python -m ctxvars run $(abspath examples)/own_state.py

bench: $(BIN)/.optimised $(VENV)/.bench ## Measure speed and memory of ctxvars and of its alternatives, and update docs/benchmarks.
	$(BIN)/python -m pytest benches --benchmark-enable --benchmark-disable-gc --benchmark-quiet --quiet --benchmark-json=.benchmarks/latest.json
	PYTHONPATH=benches $(BIN)/python -m publishing.publish .benchmarks/latest.json

bench-rust: $(VENV)/.bench ## Measure the Rust crate and its alternatives; instructions are counted if valgrind is installed.
	rm -rf $(TARGET)/criterion $(TARGET)/tmp/amounts
	for round in $$(seq $(ROUNDS)); do cargo bench --bench map --bench context -- --save-baseline round-$$round || exit; done
	cargo bench --bench memory --bench instructions
	PYTHONPATH=benches $(BIN)/python -m publishing.publish_rust $(TARGET)

msrv: ## Build and test the crate with the oldest supported Rust, in a Debian root (as root).
	scripts/oldest_rust.sh

check-no-std: ## Build the map for wasm32 without std, and run it in node; needs the target, or root and debootstrap.
	scripts/no_std.sh

check-growth: $(BIN)/.built ## Repeat each operation up to ten million times, and show whether memory grows; in both modes.
	$(BIN)/python -m scripts.check_growth
	CTXVARS_DIRECT=0 $(BIN)/python -m scripts.check_growth --scale 0.1

check-memory: check-growth ## Run make check-growth, and Rust and Python tests with sanitizers (nightly Rust) or valgrind.
	scripts/check_memory.sh
	scripts/check_binding.sh $(BIN)/python

check-mutants: $(BIN)/.built ## Break each check of setting in place and of observers, one at a time, and see that a test fails.
	$(BIN)/python -m scripts.check_mutants

fuzz-rust: ## Run random programs on the Rust map for a minute, made by cargo-fuzz if it is installed.
	scripts/fuzz_rust.sh

fuzz-headers: $(BIN)/.built ## Read hostile headers for a minute, made by atheris, which has wheels for some versions of Python.
	$(BIN)/python -m pip install --quiet --group fuzz
	fuzz/python/headers.sh $(BIN)/python

docs: $(BIN)/.built $(VENV)/.docs ## Build the documentation into docs/_build; every warning is an error.
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html

clean: ## Remove the virtual environment and everything that was built.
	rm -rf $(VENV) target dist docs/_build python/ctxvars/_core*.so

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ctxvars needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.x ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --group bench
	@mkdir -p .benchmarks
	@touch $@

# Environments of their own: some engines change logging and types, and arq needs an older redis.
$(VENV)/.engines: $(READY)
	for group in engines arq; do \
	    $(PYTHON) -m venv $(VENV)/$$group && \
	    $(VENV)/$$group/bin/python -m pip install --quiet --upgrade pip && \
	    $(VENV)/$$group/bin/python -m pip install --quiet --group $$group || exit; \
	done
	@touch $@

$(VENV)/.page: $(READY)
	$(BIN)/python -m pip install --quiet --group page
	@touch $@

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

$(BIN)/.built: $(READY) $(SOURCES)
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --quiet
	@touch $@

# The extension as `make wheel` builds it.
$(BIN)/.optimised: $(READY) $(SOURCES) scripts/training.py scripts/with_llvm_profdata.sh
	VIRTUAL_ENV=$(abspath $(VENV)) scripts/with_llvm_profdata.sh $(BIN)/maturin develop --release --pgo --quiet
	@touch $(BIN)/.built $@
