PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
COMPATIBILITY := .venv/.compatibility
ENVPOOL := .venv/.envpool
RAY := .venv/.ray
BROWSER := .venv/.browser
CHROMIUM ?= /usr/bin/chromium

.PHONY: study catalogue board test test-wheel test-envpool test-ray test-browser nightly compatibility lint wheel clean
.DELETE_ON_ERROR:

# Installed once, and again whenever what is to be installed changes.
$(READY): pyproject.toml constraints.txt
	@echo 'Installing into .venv: once, a minute or two.'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# What the page of compatibility is made with, which is too much for every checkout.
$(COMPATIBILITY): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[compatibility]'
	touch $@

# 740 MB, for one extra.
$(ENVPOOL): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[envpool]'
	touch $@

# 250 MB, for one extra.
$(RAY): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[ray]'
	touch $@

# What drives a browser, and what looks for faults of accessibility; the browser itself is Debian's.
$(BROWSER): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]'
	npm install --silent --no-audit --no-fund --prefix .venv/npm axe-core@4
	touch $@

study: $(READY)
	$(BIN)/rlnorm run dqn-ln dqn-bn bn-relu bn-grad-input bn-grad-input-short bn-bias-redundant --preset quick --out runs/study

# All seventy claims at preset quick.
catalogue: $(READY)
	$(BIN)/rlnorm run --all --preset quick --out runs/catalogue

board: $(READY)
	$(BIN)/rlnorm board runs/study

test: $(READY)
	$(BIN)/python -m pytest

# Installs the built wheel with all it needs in an empty environment: a minute or more.
test-wheel: $(READY)
	$(BIN)/python -m pytest -m install -n 0

test-envpool: $(ENVPOOL)
	$(BIN)/python -m pytest -m envpool -n 0

# Starts a cluster of three nodes on this machine.
test-ray: $(RAY)
	$(BIN)/python -m pytest -m ray -n 0

# The report and TensorBoard in a real browser; screenshots of what fails go to runs/screenshots.
ifneq ($(wildcard $(CHROMIUM)),)
test-browser: $(BROWSER)
	CHROMIUM=$(CHROMIUM) $(BIN)/python -m pytest -m browser -n 0
else
test-browser:
	@echo 'Not run: there is no chromium at $(CHROMIUM); apt-get install chromium brings it.'
endif

nightly: $(COMPATIBILITY)
	$(BIN)/python -m pytest -m nightly

compatibility: $(COMPATIBILITY)
	$(BIN)/python scripts/compatibility.py --write docs/compatibility.md

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

wheel: $(READY)
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf .venv dist build
