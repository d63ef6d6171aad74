# Every target is one line that calls the library; what it needs is installed into .venv first.
# On a fresh machine: Python 3.11 to 3.13 and make.

PYTHON ?= python3
PROFILE ?= toy
METHOD ?= paper
DATA ?=
WEIGHTS ?=
BUILD ?=
SYSTEMS ?= $(if $(filter plus,$(METHOD)),none)
AT_ONCE ?=
WORKERS ?= 2

BIN := .venv/bin
WSSS := $(BIN)/python -m wsss_lib
WHERE = --profile $(PROFILE)$(if $(filter plus,$(METHOD)),-plus)$(if $(DATA), --data "$(DATA)")$(if $(WEIGHTS), --weights "$(WEIGHTS)")$(if $(BUILD), --build "$(BUILD)")

# The stamp is named by what it stands for: editing either file makes it missing, touching them does not.
INSTALLED := .venv/.installed-$(shell cat requirements.lock pyproject.toml | cksum | tr ' ' '-')

$(if $(filter paper plus,$(METHOD)),,$(error METHOD is paper or plus, not $(METHOD)))

.PHONY: help reproduce test mutants lab bench status publish doctor lint clean

help:  ## list the targets (this list)
	@sed -n 's/^\([a-z]*\):.*## /make \1: /p' Makefile

reproduce: $(INSTALLED)  ## every table and figure, then the verdict (PROFILE=toy, or camvid with DATA=dir WEIGHTS=dir; SYSTEMS=none for ours alone; METHOD=plus for what goes beyond; AT_ONCE=1 to save memory)
	$(WSSS) reproduce $(WHERE)$(if $(SYSTEMS), --systems $(SYSTEMS))$(if $(AT_ONCE), --at-once $(AT_ONCE))

test: lint  ## lint, types, import contract, unit tests, and the notebooks at their smallest size
	rm -rf build/test && OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive WSSS_PROFILE=smoke WSSS_BUILD="$(CURDIR)/build/test" $(BIN)/pytest -n $(WORKERS) --dist loadscope --nbval-lax --nbval-current-env tests notebooks

lab: $(INSTALLED)  ## JupyterLab on the notebooks
	$(WSSS) lab $(WHERE)

bench: $(INSTALLED)  ## the speeds that are promised, measured here
	OMP_WAIT_POLICY=passive $(WSSS) bench $(WHERE)

status: $(INSTALLED)  ## which results are fresh, which are stale, and why
	$(WSSS) status $(WHERE)

publish: $(INSTALLED)  ## finished tables and figures into figures/, its README and the one above
	$(WSSS) publish $(WHERE)

doctor: $(INSTALLED)  ## whether this machine has what the project needs
	$(WSSS) doctor $(WHERE)

mutants: $(INSTALLED)  ## spoil the method one constant at a time: whether tests, notebooks and verdict notice
	WSSS_MUTANTS=1 $(BIN)/pytest -q tests/mutants

lint: $(INSTALLED)  ## style, types and import contract
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/basedpyright && $(BIN)/lint-imports

clean:  ## remove all results
	rm -rf build

$(INSTALLED):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "This project needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is none of them. Name one: make PYTHON=python3.12"; exit 1; }
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm -f .venv/.installed* && touch $@
