# Every target sets up what it needs in .venv by itself. `make help` lists them.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON    ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV      := .venv
BIN       := $(VENV)/bin
READY     := $(VENV)/.ready
LAB_SETTINGS := $(VENV)/share/jupyter/lab/settings# no question about news on the first start
LAB_FLAGS ?=
MINUTES   ?= 100
RUNS      ?= runs

# Two threads are enough for the shipped model, and keep tests from fighting over cores.
export OMP_NUM_THREADS ?= 2
export TOKENIZERS_PARALLELISM := false
export GRADIO_ANALYTICS_ENABLED := False

.PHONY: help lab test demo check bench train system clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1@\2/' | column -t -s @

lab: $(READY) ## open the quickstart notebook in JupyterLab
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_FLAGS) notebooks/00_quickstart.ipynb

test: $(READY) system ## unit, property, browser and notebook tests
	$(BIN)/python -m pytest -q tests
	$(BIN)/python -m pytest -q --nbmake --nbmake-timeout=180 notebooks

demo: $(READY) ## the main job without a browser: a spoken scenario through the shipped model, into runs/demo
	$(BIN)/microturn run --scenario stop --seed 8 --voice unseen --overwrite --out $(RUNS)/demo
	@if $(BIN)/python -c 'import sys; from workbench.recordings import recordings_available as there; sys.exit(not there())'; then \
	  $(BIN)/microturn run --scenario answer --seed 8 --voice recorded --overwrite --out $(RUNS)/demo-recorded; \
	else echo "no recordings of people: set MICROTURN_SPEECH to a folder of them to run a sum of recorded digits too"; fi
	@echo "open $(RUNS)/demo/timeline.html in a browser to see and hear it"

check: $(READY) ## format, lint, types
	$(BIN)/ruff format --check model workbench widgets tests benchmarks docs
	$(BIN)/ruff check model workbench widgets tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/nbstripout --verify notebooks/*.ipynb

bench: $(READY) ## speed, as ratios measured in one run on one core
	for bench in benchmarks/bench_*.py; do OMP_NUM_THREADS=1 $(BIN)/python "$$bench"; done

train: $(READY) ## a model of the shipped size from random weights (MINUTES=100, on two cores)
	$(BIN)/microturn train --recipe nano --minutes $(MINUTES) --resume --out $(RUNS)/nano

# The environment: remade when the requirements change; pip is quiet, so say what is going on.
$(READY): pyproject.toml constraints.txt
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, found: $$("$(PYTHON)" --version 2>&1 || echo none). Install it, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@[ -x $(BIN)/python ] || { echo "making $(VENV) with $$("$(PYTHON)" --version)"; "$(PYTHON)" -m venv $(VENV); }
	@echo "installing into $(VENV): about 2 GB and 2 to 5 minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@mkdir -p $(LAB_SETTINGS) && echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' > $(LAB_SETTINGS)/overrides.json
	@touch $@

# Two system programs that only some tests use: flite (voices never trained on) and a Chromium (the page really opened).
# Installed when that is possible without asking; never a reason to fail.
system:
	@want=; command -v flite >/dev/null || want="$$want flite"; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || want="$$want chromium"; \
	if [ -z "$$want" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$want with apt-get"; \
	  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$want) >/dev/null 2>&1 \
	    || echo "could not install$$want: the tests that use them are skipped"; \
	else echo "not found:$$want. The tests that use them are skipped; install them with your system's package manager"; fi

clean: ## remove caches and runs, keep .venv
	rm -rf $(RUNS) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
