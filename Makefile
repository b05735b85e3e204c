# Everything here starts from python3 alone; the first target of a session makes .venv, later ones find it ready.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SPARK := $(VENV)/spark
SPARK_READY := $(SPARK)/.ready
AUDIT := $(VENV)/audit
AUDIT_READY := $(AUDIT)/.ready
PRODUCT := $(VENV)/product
BROWSER := $(VENV)/browser
BROWSER_READY := $(BROWSER)/.ready
CLIENTS := $(VENV)/clients
CLIENT_LISTS := tests/clients/environments
CLIENTS_READY := $(patsubst $(CLIENT_LISTS)/%.txt,$(CLIENTS)/%/.ready,$(wildcard $(CLIENT_LISTS)/*.txt)) $(CLIENTS)/node/.ready

.PHONY: run test lint format types pytest bench clients pictures soak sbom audit clean

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --constraint constraints.txt pip; } || { \
	  rm -rf $(VENV); echo "$(PYTHON) has neither ensurepip nor pip; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt "pip>=25.1" hatchling editables "setuptools>=77"
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --group dev --editable .
	@touch $(READY)

run: $(READY)  ## two runs on the embedded org: the first fills it, the second finds nothing to write
	@echo "== first run: fills the accounts of the embedded org"
	@$(BIN)/crmsync run || test $$? -eq 3
	@echo
	@echo "== second run: the same day, the same org"
	@$(BIN)/crmsync run || test $$? -eq 3

test: lint types pytest

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

pytest: $(READY)
	@$(BIN)/python -m pytest

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY)  ## seconds and peak memory: the belt, parts, assess beside SQL by hand
	@$(BIN)/python -m bench

clients: $(READY) $(SPARK_READY) $(CLIENTS_READY) $(BROWSER_READY)  ## foreign clients, unmodified, against the sandbox org; the engine on Apache Spark
	@command -v git >/dev/null || { echo "CumulusCI needs git; on Debian: apt-get install git" >&2; exit 1; }
	@APACHE_SPARK=$(SPARK) BROWSER_HOME=$(BROWSER) FOREIGN_CLIENTS=$(CLIENTS) $(BIN)/python -m pytest --dist loadgroup tests/clients

pictures: $(READY) $(BROWSER_READY)  ## the pictures of the sandbox org's page in docs/pictures/
	@PICTURES=1 BROWSER_HOME=$(BROWSER) $(BIN)/python -m pytest -n 0 tests/clients/test_page.py

# the browser is the machine's own; only what drives it is installed here
$(BROWSER_READY): tests/clients/browser/package.json | $(READY)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "the page's tests need Chromium; on Debian: apt-get install chromium" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "the page's tests need Node 18 or newer with npm; on Debian: apt-get install nodejs npm" >&2; exit 1; }
	@mkdir -p $(@D) && cp $< $(@D)/package.json
	@cd $(@D) && npm install --no-audit --no-fund --no-package-lock --loglevel=error >npm.log 2>&1 || { cat npm.log >&2; exit 1; }
	@touch $@

# Apache Spark has the import name of its own client, so it gets an environment of its own
$(SPARK_READY): $(READY)
	@command -v java >/dev/null || { echo "Apache Spark needs Java 17 or newer; on Debian: apt-get install openjdk-17-jre-headless" >&2; exit 1; }
	@test -x $(SPARK)/bin/python || $(BIN)/python -m venv --without-pip $(SPARK)
	@$(BIN)/python -m pip --python $(SPARK)/bin/python install --quiet --disable-pip-version-check \
	  "pyspark==$$(sed -n 's/^pyspark-client==//p' constraints.txt)"
	@touch $(SPARK_READY)

# Foreign clients disagree about versions of what they share, so each has an environment of its own, out of exact lists
$(CLIENTS)/%/.ready: $(CLIENT_LISTS)/%.txt | $(READY)
	@test -x $(@D)/bin/python || $(BIN)/python -m venv --without-pip $(@D)
	@$(BIN)/python -m pip --python $(@D)/bin/python install --quiet --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(CLIENTS)/node/.ready: $(CLIENT_LISTS)/package.json
	@command -v npm >/dev/null || { echo "the Salesforce CLI and jsforce need Node 20 or newer with npm; on Debian: apt-get install nodejs npm" >&2; exit 1; }
	@mkdir -p $(@D) && cp $< $(@D)/package.json
	@cd $(@D) && npm install --no-audit --no-fund --no-package-lock --loglevel=error >npm.log 2>&1 || { cat npm.log >&2; exit 1; }
	@touch $@

soak: $(READY)  ## the engine against the slow oracle, and Spark against DuckDB, on many more programs
	@SOAK_EXAMPLES=$${SOAK_EXAMPLES:-2000} $(BIN)/python -m pytest tests/levelling/test_oracle.py
	@SOAK_EXAMPLES=$${SOAK_EXAMPLES:-200} $(BIN)/python -m pytest tests/engines/test_equal.py
	@SOAK_EXAMPLES=$${SOAK_EXAMPLES:-1000} $(BIN)/python -m pytest -s tests/writeback/test_guard_scenarios.py
	@SOAK_NOTICE_KILLS=$${SOAK_NOTICE_KILLS:-1000} $(BIN)/python -m pytest tests/notices/test_killed.py
	@SOAK_KILLS=$${SOAK_KILLS:-10000} $(BIN)/python -m pytest -n 0 tests/writeback/test_kill.py
	@SOAK_INCREMENTS=$${SOAK_INCREMENTS:-200} $(BIN)/python -m pytest tests/connectors/salesforce/test_increments.py -k equal
	@SOAK_FLIPS=$${SOAK_FLIPS:-10000} $(BIN)/python -m pytest --timeout 1800 tests/ledger/test_chain.py -k flipped
	@SOAK_MACHINE=$${SOAK_MACHINE:-500} $(BIN)/python -m pytest tests/writeback/test_machine.py
	@SOAK_EDITS=$${SOAK_EDITS:-10000} $(BIN)/python -m pytest tests/writeback/test_random_edits.py
	@SOAK_ZONES=all $(BIN)/python -m pytest -n 0 tests/worker/test_zones.py
	@SOAK_RACES=$${SOAK_RACES:-1000} $(BIN)/python -m pytest -n 0 tests/worker/test_races.py
	@SOAK_DAEMON=$${SOAK_DAEMON:-5000} $(BIN)/python -m pytest -n 0 -s tests/worker/test_soak.py

# what is listed is what a user installs: the product and what it needs, nothing of the tests
sbom: $(READY) $(AUDIT_READY)  ## dist/crmsync.cdx.json: every package of the product with version and licence (CycloneDX)
	@rm -rf $(PRODUCT) && $(BIN)/python -m venv --without-pip $(PRODUCT) && mkdir -p dist
	@$(BIN)/python -m pip --python $(PRODUCT)/bin/python install --quiet --quiet --disable-pip-version-check --constraint constraints.txt '.[postgres]'
	@$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o dist/crmsync.cdx.json $(PRODUCT)/bin/python 2>/dev/null
	@echo "dist/crmsync.cdx.json: $$(grep -c '"purl"' dist/crmsync.cdx.json) packages"

audit: $(READY) $(AUDIT_READY)  ## known vulnerabilities of the tested versions; says so where the advisory service cannot be reached
	@$(BIN)/python ops/advisories.py $(AUDIT)/bin/pip-audit constraints.txt

$(AUDIT_READY): $(READY)
	@test -x $(AUDIT)/bin/python || $(BIN)/python -m venv --without-pip $(AUDIT)
	@$(BIN)/python -m pip --python $(AUDIT)/bin/python install --quiet --quiet --disable-pip-version-check "pip-audit>=2.9,<3" "cyclonedx-bom>=7,<8"
	@touch $@

clean:
	rm -rf $(VENV) .crmsync build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
