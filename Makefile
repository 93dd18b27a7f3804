# Belay. `make` alone says what there is.
SHELL := /bin/sh
PYTHON ?= python3
PY := .venv/bin/python
export PYTHON
export BELAY_PORT BELAY_STATE_DIR BELAY_RANGE

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: venv-run ## Start everything on this machine; Ctrl-C stops it all
	@exec $(PY) manage.py demo

.PHONY: clean-demo
clean-demo: venv-run ## Stop the demo and remove every trace of it, the range too
	@exec $(PY) manage.py clean_demo

.PHONY: test
test: ## Run all that CI runs, on a real range and in a real browser
	@exec scripts/test.sh

.PHONY: test-fast
test-fast: venv ## Run what needs neither the range nor a browser nor minutes
	@exec $(PY) -m pytest -n 2 --dist loadfile -m "not range and not browser and not services and not long"

.PHONY: test-long
test-long: venv ## Run what takes longer than CI has, on a range of its own (about 45 minutes)
	@BELAY_TEST_LONG=1 $(PY) -m pytest -v -m "long and range"

.PHONY: soak
soak: venv ## Crash at every step of every fault, then new schedules for BELAY_SOAK_MINUTES (60)
	@BELAY_TEST_CRASH=all $(PY) -m pytest -q -n 2 --dist loadfile tests/simulator/test_crash_everywhere.py tests/simulator/test_crash_everywhere_too.py
	@BELAY_TEST_SOAK_MINUTES="$${BELAY_SOAK_MINUTES:-60}" $(PY) -m pytest -q -s tests/simulator/test_schedules.py -k soak

.PHONY: mutations
mutations: venv ## Break the engine and the guard on purpose; a test must notice each time
	@exec $(PY) -m pytest -v tests/mutations

.PHONY: chaos-self
chaos-self: venv ## Kill parts of ours at random over BELAY_CHAOS_INJECTIONS (100) faults on a range
	@exec $(PY) -m tests.chaos

.PHONY: lint
lint: venv ## Check style, types, imports, templates, migrations and lock files
	@exec scripts/lint.sh

.PHONY: bench
bench: venv ## Measure; print a table and leave build/bench.json
	@exec $(PY) -m tests.bench

.PHONY: fmt
fmt: venv ## Format code and templates
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .
	@git ls-files -z --cached --others --exclude-standard -- '*.html' ':!static/*' | xargs -0 -r .venv/bin/djhtml

.PHONY: venv
venv: ## Install the locked packages, with those for tests, into .venv
	@scripts/venv.sh dev

.PHONY: venv-run
venv-run:
	@scripts/venv.sh run

.PHONY: lock
lock: ## Resolve pyproject.toml again into the lock files (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements.lock --group dev -o requirements-dev.lock pyproject.toml
