# make demo    sets up, then runs the whole road on sounds made here
# make test    sets up, then runs the tests and the notebooks
# One .venv, made once and made again only when pyproject.toml has changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

# Weights are asked for over the network by the demo only; tests never do.
.PHONY: setup demo test slow notebooks bench clean

setup: $(READY)

$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV): torch, fastai, timm, librosa ... a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/specimg demo demo

test: $(READY)
	$(BIN)/python -m pytest --durations=10
	$(MAKE) --no-print-directory notebooks

notebooks: $(READY)
	HF_HUB_OFFLINE=1 $(BIN)/nbdev-test --n-workers 1

slow: $(READY)
	$(BIN)/python -m pytest -m slow

bench: $(READY)
	$(BIN)/python benchmarks/render.py

clean:
	rm -rf $(VENV) demo build *.egg-info
