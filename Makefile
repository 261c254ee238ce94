# make demo · make test · make test-slow · make test-all · make test-blender · make extension · make bench · make lint
# Needs Python 3.11; everything is installed into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -q
TORCH := "torch~=2.13.0"
PHOTO ?=

.PHONY: demo test test-slow test-all test-blender extension bench lint clean

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v == (3, 11) or sys.exit(f"Python 3.11 is needed (bpy 4.5 has wheels for it alone), this is {v[0]}.{v[1]}. Use: make PYTHON=/path/to/python3.11")'
	$(PYTHON) tools/system_libraries.py
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt $(TORCH) -e ".[blender,dev]"
	touch $@

# smplx is non-commercial: a test oracle, not installed by `make demo`
$(VENV)/.test: $(VENV)/.demo
	$(PIP) install -c constraints.txt $(TORCH) -e ".[blender,dev,smpl,train]"
	touch $@

demo: $(VENV)/.demo
	$(PY) tools/demo.py $(if $(PHOTO),"$(PHOTO)")

# Two test processes for two cores; a file's tests share one process and its fixtures.  `make test WORKERS=8` on more.
WORKERS ?= 2
PYTEST := $(PY) -m pytest -n $(WORKERS) --dist loadfile

# Before every commit
test: $(VENV)/.test lint
	$(PYTEST) -m "not slow"

# The slow tests
test-slow: $(VENV)/.test
	$(PYTEST) -m slow

test-all: test
	$(MAKE) test-slow

lint: $(VENV)/.test
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m mypy --config-file tests/mypy.ini tests

# The zip in the oldest and the newest Blender on PyPI that support Python 3.11
test-blender: $(VENV)/.test extension
	$(PY) tools/check_blender_versions.py 4.2.23 5.0.1

extension: $(VENV)/.demo
	$(PY) tools/build_extension.py

bench: $(VENV)/.test
	$(PY) -m benchmarks.click
	$(PY) -m benchmarks.networks
	$(PY) -m benchmarks.attention
	$(PY) -m benchmarks.vertex_fit
	$(PY) -m benchmarks.keyframes
	$(PY) -m benchmarks.clip
	$(PY) -m benchmarks.datasets
	$(PY) -m benchmarks.synthetic
	$(PY) -m benchmarks.training_step

clean:
	rm -rf $(VENV) dist build out
