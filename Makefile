# Everything a developer runs. Needs Python 3.11, 3.12 or 3.13, make and git; `make help` lists the targets.

# The first of these that fits makes the environment; `make PYTHON=/path/to/python3.12 test` names one.
PYTHON := python3.13 python3.12 python3.11 python3 python
ENVIRONMENT := .venv
BIN := $(ENVIRONMENT)/bin
SERVED := $(ENVIRONMENT)/.served
MADE := $(ENVIRONMENT)/.made
UV_VERSION := >=0.13,<0.14

# A candidate must really start: pyenv leaves shims on the path for versions that are not selected.
# ensurepip is looked for because Debian's python3 comes without what an environment is made of.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
COMPILE := $(BIN)/uv pip compile --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-annotate --no-header --quiet

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PIP := $(BIN)/python -m pip install --disable-pip-version-check
# Sums up pip's hundreds of lines: in a terminal as they come, elsewhere at the end.
SUM_UP := awk -v live="$$([ -t 2 ] && echo 1)" ' \
	function said() { return sprintf("  %d packages, %.0f MB fetched, %.0f MB from the cache", packages, fetched, cached) } \
	function size(unit) { unit = $$NF; return substr($$(NF - 1), 2) * (unit ~ /^M/ ? 1 : unit ~ /^G/ ? 1000 : 0.001) } \
	/^Collecting / { packages++ } \
	/^ *Downloading .*B\)$$/ { fetched += size() } \
	/^ *Using cached .*B\)$$/ { cached += size() } \
	/^Installing collected/ { print (live ? "\r" : "") said() ", which are installed now"; fflush(); live = 0 } \
	/^ERROR/ { print } \
	live { printf "\r%s", said(); fflush() }'

# Without bytecode each process that the tests start would compile a thousand modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help environment demo test failover mutants bench soak check docs format lock schema reference

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-13s%s\n", $$1, $$2}' Makefile

demo: $(SERVED) ## Start the server with sample data, and print where GraphiQL is
	@$(BIN)/provenance-graph demo

test: environment ## Run the tests in four processes; ARGS="-k pagination" is handed to pytest
	@$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

failover: environment ## Kill, hang and demote the primary of three mongod under traffic, which takes minutes
	@$(BIN)/pytest -s tests/failover/test_failover.py $(ARGS)

mutants: environment ## List changes that no test notices; ARGS="resolvers/access/policies.py" or "--sample 150 --seed 7"
	@$(BIN)/python -m tests.mutants $(ARGS)

bench: environment ## Measure beside the peers; ARGS="--quick", "--growth", "--overload", "--start", "--against COMMIT" or "--json FILE"
	@$(BIN)/python -m tests.bench $(ARGS)

soak: environment ## Ask a server everything at once for half an hour; ARGS="--minutes 3" takes less
	@$(BIN)/python -m tests.bench.soak $(ARGS)

check: environment ## Check format, lint, types and the direction of imports
	@echo "Checking the format"
	@$(BIN)/ruff format --check .
	@echo "Checking with ruff"
	@$(BIN)/ruff check .
	@echo "Checking the types"
	@$(BIN)/mypy
	@echo "Checking the direction of imports"
	@$(BIN)/lint-imports

docs: environment ## Build the site of docs/ in build/site; a link that leads nowhere fails
	@NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict
	@echo "Built build/site/index.html"

reference: environment ## Write what the pages of docs/reference take from the code anew
	@$(BIN)/python -m tests.docs.generate

format: environment ## Format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

schema: environment ## Write schema.graphql anew
	@$(BIN)/provenance-graph schema > schema.graphql.new || { rm -f schema.graphql.new; exit 1; }
	@mv schema.graphql.new schema.graphql
	@echo "Wrote schema.graphql"

lock: environment ## Pin the newest allowed versions of all dependencies
	@$(BIN)/python -m pip install --quiet "uv$(UV_VERSION)"
	@echo "Writing requirements.lock: everything, for laptops and tests"
	@$(COMPILE) pyproject.toml --upgrade --extra embedded --extra parquet --group dev --group docs --output-file requirements.lock
	@echo "Writing requirements-production.lock: what the container image holds, in the same versions"
	@$(COMPILE) pyproject.toml --constraint requirements.lock --extra parquet --output-file requirements-production.lock
	@echo "Writing requirements-demo.lock: what make demo needs, in the same versions"
	@$(COMPILE) pyproject.toml --constraint requirements.lock --extra embedded --group build --output-file requirements-demo.lock
	@echo "Writing requirements-spark.lock: half a gigabyte that only one test needs, beside requirements.lock"
	@$(COMPILE) --upgrade --constraint requirements.lock --group spark --output-file requirements-spark.lock

environment: $(MADE) ## Make or refresh the Python environment in .venv

$(SERVED): requirements-demo.lock pyproject.toml setup.py $(wildcard documents/mongo/*.pyx documents/mongo/*.pxd)
	@if ! $(BIN)/python -c '$(FITS); import pip' 2>/dev/null; then \
		found=; \
		for python in $(PYTHON); do \
			if "$$python" -c '$(FITS)' 2>/dev/null; then found=$$python; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "No Python fits: 3.11, 3.12 or 3.13 with its venv module is needed. Tried: $(PYTHON)." >&2; \
			echo "Install one (on Debian and Ubuntu: apt-get install python3 python3-venv)," >&2; \
			echo "or name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
			exit 1; \
		fi; \
		echo "Making an environment in $(ENVIRONMENT) with $$($$found --version)"; \
		"$$found" -m venv --clear $(ENVIRONMENT); \
	fi
	@echo "Installing what a server needs, by requirements-demo.lock"
	@$(PIP) --require-hashes --requirement requirements-demo.lock | $(SUM_UP)
	@echo "Installing provenance-graph from this folder"
	@PYTHONWARNINGS=ignore $(PIP) --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'from documents.mongo.raw import COMPILED; assert COMPILED' 2>/dev/null || echo \
		"The C extensions were not compiled, for want of a C compiler or Python's headers: large answers take twice as long." >&2
	@touch $@

$(MADE): $(SERVED) requirements.lock
	@echo "Installing what developers need as well, by requirements.lock"
	@$(PIP) --require-hashes --requirement requirements.lock | $(SUM_UP)
	@touch $@
