# `make demo`, `make test` and `make docs` set up what they need in one virtual environment, ./.venv (another: VENV=/path).
VENV ?= .venv
PYTHON ?= python3
PYTEST_ARGS ?=

ifneq ($(words $(VENV)),1)
$(error VENV: make cannot have spaces in this path (found '$(VENV)'; valid: a path without any, such as .venv))
endif

# Targets are relative, since make cannot have spaces in their names, and the folder of a clone may have one.
env := $(VENV)
bin := $(env)/bin
absolute := $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(VENV)
activate := VIRTUAL_ENV="$(absolute)" PATH="$(absolute)/bin:$$PATH"
install := $(bin)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
# pip compiles what it copies; this package stays where it is
compiled := @$(bin)/python -m compileall -q netac
requirements := setup.cfg pyproject.toml constraints.txt

.PHONY: help demo test lint docs venv clean
.NOTPARALLEL:

help: ## this list (the default)
	@awk -F ': .*## |: ## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

algorithms := cac,dac,mdac,iac

demo: $(env)/.installed-run ## CAC with one process per agent, then CAC, DAC, MDAC and IAC over 10 seeds; a page of both
	rm -rf demo
	$(activate) ./run_mpi.sh -n 5 examples/coordination.toml --out demo/run
	$(activate) $(bin)/netac compare examples/coordination.toml --algorithms $(algorithms) --seeds 10 --out demo/comparison
	$(activate) $(bin)/netac report demo/run demo/comparison --out demo/report.html
	@echo "The run with one process per agent: demo/run"
	@echo "The table of the comparison:        demo/comparison/comparison.csv"
	@echo "The picture of the comparison:      demo/comparison/comparison.png"
	@echo "The page of both, for a browser:    demo/report.html"

pytest := $(activate) $(bin)/python -m pytest

# Two workers share the tests; those that measure how soon something happens come after, with no others beside them.
# With PYTEST_ARGS one worker does it all.
test: $(env)/.installed-all ## all tests, those under mpirun included (PYTEST_ARGS="-k name" for some)
ifeq ($(strip $(PYTEST_ARGS)),)
	$(pytest) -n 2 --dist loadfile -m "not alone and not long and not third_party" || failed=yes; \
	$(pytest) -m "alone and not long and not third_party" $$(grep -rl "mark\.alone" tests --include "test_*.py") && \
		test -z "$$failed"
else
	$(pytest) $(PYTEST_ARGS)
endif

lint: $(env)/.installed-all ## ruff and mypy
	$(bin)/ruff check .
	$(bin)/mypy

docs: $(env)/.installed-docs ## the documentation as a site in site/, its links checked
	NO_MKDOCS_2_WARNING=1 $(bin)/mkdocs build --strict

venv: $(env)/.installed-all ## the virtual environment with everything that demo and test need

clean: ## remove the demo's results, the site and all caches (the virtual environment and runs/ stay)
	rm -rf demo site build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find netac tests benchmarks examples graphs -name __pycache__ -type d -prune -exec rm -rf {} + 2> /dev/null || true

$(env)/.installed-run: $(requirements) | $(bin)/python
	$(install) ".[mpi,report]"
	$(compiled)
	@touch $@

$(env)/.installed-all: $(requirements) | $(bin)/python
	$(install) ".[mpi,test,fastest,torch,pettingzoo,mamujoco,traffic,smax,tensorboard,report,tune]"
	$(compiled)
	@touch $(env)/.installed-run $@

$(env)/.installed-docs: $(requirements) | $(bin)/python
	$(install) ".[docs]"
	@touch $@

$(bin)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "netac needs Python 3.11 or later; found $$($(PYTHON) --version 2>&1); name one: make PYTHON=python3.11" >&2; \
		exit 2; }
	$(PYTHON) -m venv $(env)
