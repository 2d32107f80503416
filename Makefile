# make serve: the service on http://127.0.0.1:8080. make test: the tests. Both set themselves up in .venv.
PYTHON ?= python3
BIN := .venv/bin
# Tests wait a lot: three at once take half the time of one after the other, on two cores.
AT_ONCE := -n 3 --dist loadgroup
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: serve test check fuzz test-state test-letta test-letta-code test-portal test-large-clients test-openwebui bench bench-quick bench-soak bench-smoke clean
.DELETE_ON_ERROR:

serve: .venv/.serve
	@$(BIN)/lettabot server

test: .venv/.dev .venv/.clients
	@$(BIN)/pytest $(AT_ONCE)

check: .venv/.dev .venv/.clients
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(AT_ONCE)

# The property tests (streams, bodies, heads, settings, turns), with fifty times the examples: half an hour.
fuzz: .venv/.dev
	HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest $(AT_ONCE) $$(grep -rl hypothesis --include='test_*.py' tests)

# The state: kill -9 at random moments, workers, replicas, a full disk, a database that is gone; SQLite and PostgreSQL.
test-state: .venv/.dev
	$(BIN)/pytest -n 2 -m state

# A real Letta server, with PostgreSQL, Redis and a scripted language model, on loopback.
test-letta: .venv/.dev
	$(BIN)/pytest -m letta

# A real App Server of Letta Code, with a scripted language model, on loopback.
test-letta-code: .venv/.dev
	$(BIN)/pytest -m letta_code

# Codex and LiteLLM, whose installation takes 1.2 GB. Not in CI.
test-large-clients: .venv/.dev
	bash tests/clients/install_large.sh
	$(BIN)/pytest -m large_clients tests/clients

# The portal in headless Chromium (on Debian: apt install chromium).
test-portal: .venv/.dev
	$(BIN)/pytest -m portal tests/portal

# The same with a real Open WebUI in front, in headless Chromium. Not in CI: its installation takes 2.5 GB.
test-openwebui: .venv/.dev
	$(BIN)/pytest -m openwebui

# What a streamed chunk, a request and a start cost, in ratios: five minutes, one minute, thousands of slow streams.
bench: .venv/.serve
	$(BIN)/python -m bench full

bench-quick: .venv/.serve
	$(BIN)/python -m bench quick

bench-soak: .venv/.serve
	$(BIN)/python -m bench soak

# Fails only if a ratio is off by more than three times: for what broke, not for what is slow today.
bench-smoke: .venv/.serve
	$(BIN)/python -m bench smoke

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "lettabot needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian: apt install python3-venv"; exit 1; }
	@$(PIP) install --upgrade "pip>=25.1"

.venv/.serve: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up .venv ..."
	@$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up .venv with the development tools ..."
	@$(PIP) install -c constraints.txt --group dev -e .
	@touch $@ .venv/.serve

# The OpenAI SDKs of other generations and languages, and the frameworks, that the tests try.
.venv/.clients: tests/clients/install.sh tests/clients/package.json | .venv/bin/python
	@echo "Setting up the OpenAI clients that the tests try ..."
	@bash tests/clients/install.sh
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis
