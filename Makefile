# Every target makes .venv when it is missing or older than what it is made from: `run` with what it needs, the others
# with what developers need on top.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Peers to compare with and to measure beside. Alone: what libCacheSim wants for traces on S3 needs an older
# python-dateutil than pandas does.
PEER := $(BIN)/python -m pip install --quiet -c constraints.txt --no-deps libcachesim
BENCH_PEERS := $(PEER) cachetools

# Byte code is kept, also where the environment says not to: each process of the tests would compile its imports anew.
unexport PYTHONDONTWRITEBYTECODE

# moto with what its S3 takes, alone for the same reason: botocore wants an older python-dateutil, and works with ours.
S3_SERVER := $(BIN)/python -m pip install --quiet -c constraints.txt --no-deps moto boto3 botocore s3transfer jmespath \
	xmltodict responses py-partiql-parser Werkzeug Flask flask-cors itsdangerous blinker

.PHONY: run test test-cuda test-ray test-s3 test-search test-readers check ahead bench clean

run: $(VENV)/.ready
	$(BIN)/tierfetch run configs/mixed.yaml

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

# For who has a GPU: a CUDA build of torch must be what pip finds.
test-cuda: $(VENV)/.ready-dev
	$(BIN)/python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "torch finds no CUDA device here")'
	$(BIN)/python -m pytest -m cuda

# Apart from the others: Ray is large, and its processes take a while to start.
test-ray: $(VENV)/.ready-dev
	$(BIN)/python tools/install.py '.[ray]'
	$(BIN)/python -m pytest tests/test_ray.py

# Against moto, a server on the loopback that speaks S3.
test-s3: $(VENV)/.ready-dev
	$(S3_SERVER)
	$(BIN)/python -m pytest tests/test_stores_s3.py

# So is Optuna, which brings a database.
test-search: $(VENV)/.ready-dev
	$(BIN)/python tools/install.py '.[search]'
	$(BIN)/python -m pytest tests/test_search.py

# Results as a dataset, read by Polars and DuckDB: 250 MB, which nothing else needs.
test-readers: $(VENV)/.ready-dev
	$(BIN)/python tools/install.py '.[readers]'
	$(BIN)/python -m pytest tests/test_datasets.py

check: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What many tests would compile, each process for itself.
ahead: $(VENV)/.ready-dev
	$(BIN)/python -m tests.ahead

bench: $(VENV)/.ready-dev
	$(BENCH_PEERS) || echo "without libCacheSim and cachetools"
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/tierfetch"

$(VENV)/.ready: pyproject.toml constraints.txt tools/install.py
	$(PYTHON) -c 'import sys; sys.exit("tierfetch needs Python 3.11 or newer, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python tools/install.py .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(BIN)/python tools/install.py '.[dev]'
	$(PEER) || echo "without libCacheSim: tests that compare with it are skipped"
	touch $@
