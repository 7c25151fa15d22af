# The commands of this project. `make run` is all that a user needs.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8000
DATA_DIR ?= data
export PORT DATA_DIR
# the errors: what they say is their first argument
KEYWORDS := gettext_noop tr ntr:1,2 UnreadableInput UnsupportedImage NotFound Conflict ReviewConflict NotSignedIn NotAllowed TooManyAttempts UploadRefused QuotaExceeded RequestRefused StorageFull

.PHONY: run install install-dev test test-long check bench bench-long messages screenshots image clean

run: install                ## install if needed, migrate, start web and worker
	$(BIN)/diagnosis-tool serve

install: $(VENV)/.installed ## .venv with the console script diagnosis-tool

install-dev: $(VENV)/.installed-dev

# torch is pinned exactly and first: a range would pull several GB of CUDA packages (docs/dependencies.md)
$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "error: $(PYTHON) was not found: install Python 3.11, or say PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[training,dev]'
	@touch $@

check: install-dev          ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install-dev           ## everything but the tests marked long
	tests/system-packages.sh
	$(BIN)/python -m pytest -m "not long"

test-long: install-dev
	tests/system-packages.sh
	$(BIN)/python -m pytest

bench: install-dev          ## measures the claims into build/bench.jsonl
	$(BIN)/python -m benchmarks

bench-long: install-dev     ## also the large networks
	$(BIN)/python -m benchmarks --long

messages: install-dev       ## brings translations/*/LC_MESSAGES/messages.po up to date with the texts in the code
	mkdir -p build
	$(BIN)/pybabel --quiet extract --mapping babel.cfg --keyword "$(KEYWORDS)" --no-location --sort-output --omit-header \
	  --output build/messages.pot diagnosis_tool templates static/js
	$(BIN)/pybabel --quiet update --input-file build/messages.pot --output-dir translations --no-fuzzy-matching \
	  --ignore-obsolete --ignore-pot-creation-date --no-wrap

screenshots: install-dev    ## docs/screenshots, from phantoms
	tests/system-packages.sh
	$(BIN)/python -m tests.e2e.screenshots

image:                      ## builds the container image and tries it out; IMAGE, TORCH_INDEX: deploy/image/build.sh
	deploy/image/build.sh

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
