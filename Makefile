# The commands of this project. `make run` is all that a user needs.
# PYTHON: which interpreter, else the first of Python 3.11 to 3.13 on PATH. TORCH_INDEX: where torch is fetched from.
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8000
DATA_DIR ?= data
export PORT DATA_DIR PYTHON TORCH_INDEX
# the errors: what they say is their first argument
KEYWORDS := gettext_noop tr ntr:1,2 Remark UnreadableInput UnsupportedImage NotFound Conflict ReviewConflict NotSignedIn NotAllowed TooManyAttempts UploadRefused QuotaExceeded RequestRefused StorageFull ProviderDown DecodersBusy DecodersMissing

.PHONY: run install install-dev test test-long check audit bench bench-long messages screenshots image clean

run: install                ## install if needed, migrate, start web and worker
	$(BIN)/diagnosis-tool serve

install: $(VENV)/.installed ## .venv with the console script diagnosis-tool

install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml constraints.txt
	@deploy/venv.sh $(VENV) .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@deploy/venv.sh $(VENV) '.[training,dev]'
	@touch $@

check: install-dev          ## ruff (with bandit's rules, S), mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: install-dev          ## known holes of the installed packages; needs PyPI, and says so where it cannot reach it
	$(BIN)/python -m testing.audit

test: install-dev           ## everything but the tests marked long
	testing/system-packages.sh
	$(BIN)/python -m pytest -m "not long"

test-long: install-dev      ## all, and each fuzz target for FUZZ_SECONDS (600)
	testing/system-packages.sh
	$(BIN)/python -m pytest

# without what cannot be installed here, the benchmark that needs it says so, and the others go on
bench: install-dev          ## measures the claims into build/bench.jsonl
	-testing/system-packages.sh
	$(BIN)/python -m benchmarks

bench-long: install-dev     ## also the large networks
	-testing/system-packages.sh
	$(BIN)/python -m benchmarks --long

messages: install-dev       ## brings translations/*/LC_MESSAGES/messages.po up to date with the texts in the code
	mkdir -p build
	$(BIN)/pybabel --quiet extract --mapping babel.cfg --keyword "$(KEYWORDS)" --no-location --sort-output --omit-header \
	  --output build/messages.pot diagnosis_tool templates static/js
	$(BIN)/pybabel --quiet update --input-file build/messages.pot --output-dir translations --no-fuzzy-matching \
	  --ignore-obsolete --ignore-pot-creation-date --no-wrap

screenshots: install-dev    ## docs/screenshots, from phantoms
	testing/system-packages.sh
	$(BIN)/python -m tests.e2e.screenshots

image:                      ## builds the container image and tries it out; IMAGE, TORCH_INDEX: deploy/image/build.sh
	deploy/image/build.sh

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
