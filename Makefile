# Everything runs in a private environment, .venv, which the first command sets up.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
READY_DEV := $(VENV)/ready-dev
# What must reach Drip right, and only right: no branch of it goes without a test.
EVERY_BRANCH := mappings/*,adapter/web/origin.py,adapter/delivery/pacing.py,adapter/delivery/backoff.py,adapter/delivery/settling.py,adapter/inbox/settling.py,adapter/inbox/versions.py

.PHONY: install demo run test coverage test-quick test-faults soak mutation audit fuzz lint simulate bench docs picture screenshots package bom format requirements clean

install: $(READY)  ## Set up the command .venv/bin/drip-adapter.

demo: $(READY)  ## Show sample orders going from store to Drip; nothing is sent.
	$(BIN)/drip-adapter demo

run: $(READY)  ## Serve with the sandbox in Drip's place, until stopped. PORT=8010 make run: at another port.
	$(BIN)/drip-adapter serve --sandbox --bind 127.0.0.1:$(PORT)

test: $(READY_DEV) lint  ## Everything that CI checks.
	$(BIN)/python -m pytest -n 3 --dist worksteal

coverage: $(READY_DEV)  ## The same tests, and which branches they reach: all of what maps, verifies, paces and settles. Takes half as long again.
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term
	$(BIN)/python -m coverage report --include="$(EVERY_BRANCH)" --fail-under=100

test-quick: $(READY_DEV)  ## A first answer within a minute: no PostgreSQL, no browser, nothing slow.
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not postgresql and not browser and not slow"

test-faults: $(READY_DEV)  ## kill -9, full disks, stopped processes. FAULTS_AT_LENGTH=1 takes longer.
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/faults

simulate: $(READY_DEV)  ## The tables of docs/pacing.md.
	$(BIN)/python -m tests.delivery.simulation
	$(BIN)/python -m tests.delivery.simulation --curve

bench: $(READY_DEV)  ## Measure everything and write build/bench/report.md; half an hour. BENCH=--quick: some minutes, BENCH=--full: hours.
	$(BIN)/python -m tests.benchmarks $(BENCH)
	$(BIN)/python -m tests.benchmarks.pages 20000

soak: $(READY_DEV)  ## Every fault at length, one after the other; a table. About ten minutes; SOAK="--seconds 60 --seed 1" changes that.
	$(BIN)/python -m tests.faults.soak $(SOAK)

fuzz: $(READY_DEV)  ## Hostile payloads by the hundred thousand, through HTTP and databases too, and hostile requests to every route; half an hour.
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-25000} FUZZ_SECONDS=$${FUZZ_SECONDS:-900} $(BIN)/python -m pytest -q -s -p no:cacheprovider tests/mappings/test_fuzz.py
	$(BIN)/python -m tests.mappings.coverage_guided --seconds $${FUZZ_GUIDED_SECONDS:-60}
	FUZZ_REQUESTS=$${FUZZ_REQUESTS:-100} $(BIN)/python -m pytest -q -s -p no:cacheprovider tests/web/test_every_route.py
	FUZZ_POSTED=$${FUZZ_POSTED:-2000} $(BIN)/python -m pytest -q -s -p no:cacheprovider tests/faults/test_bent_webhooks.py

lint: $(READY_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

docs: $(READY_DEV)  ## The documentation as a site with search, in build/site; fails at a dead link.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

picture: $(READY_DEV)  ## Take the README's picture of the dashboard again.
	PICTURE="$(CURDIR)/docs/images/dashboard.png" $(BIN)/python -m pytest tests/browser/test_picture.py

screenshots: $(READY_DEV)  ## Each page at three widths, in both themes, in build/screenshots.
	SCREENSHOTS="$(CURDIR)/build/screenshots" $(BIN)/python -m pytest tests/browser/test_dashboard.py -k axe_finds

package: $(READY_DEV)  ## Build the source distribution and the wheel into dist/, and try the wheel alone.
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	.ci/try-wheel dist/*.whl

bom: $(READY_DEV)  ## The bill of materials of what is installed, with licenses and hashes: dist/bom.cdx.json (CycloneDX).
	rm -rf build/bom && $(PYTHON) -m venv build/bom && mkdir -p dist
	build/bom/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	build/bom/bin/python -m pip install --quiet --disable-pip-version-check --no-deps .
	build/bom/bin/python -m pip uninstall --quiet --yes pip setuptools
	$(BIN)/cyclonedx-py environment build/bom/bin/python --output-reproducible --output-file dist/bom.cdx.json

mutation: $(READY_DEV)  ## Do tests fail when the code is wrong? A sample; MUTATION="--sample 50 --seed 1" changes that.
	$(BIN)/python -m tests.mutation $(MUTATION)

audit: $(READY_DEV)  ## Known vulnerabilities in what requirements.txt pins.
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement requirements.txt

format: $(READY_DEV)  ## Let ruff mend what it can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

requirements: $(READY_DEV)  ## Pin anew what pyproject.toml asks for.
	$(BIN)/pip-compile --quiet --upgrade --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: PYTHON=python3.13 make ...")'
	@echo "Setting up $(VENV), once. Nothing outside this folder is changed."
	@echo "  1/3 a Python environment of its own"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "  2/3 the libraries: $$(grep -c == requirements.txt) packages, about a minute"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@echo "  3/3 the command $(BIN)/drip-adapter"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(READY_DEV): requirements-dev.txt $(READY)
	@echo "  the tools for the tests: $$(grep -c == requirements-dev.txt) packages in all, about a minute"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-dev.txt
	@touch $@
