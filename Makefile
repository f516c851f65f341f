# The commands of the project; README.md shows the first two.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out/demo
# The editable install follows Python files by itself: only these ask for another one.
PACKAGE := pyproject.toml constraints.txt CMakeLists.txt $(shell find kernels -name '*.cpp' -o -name '*.cu' -o -name '*.h')

.PHONY: demo test check bench install dev clean

demo: install
	$(BIN)/edgefuse demo --output $(OUT) --overwrite $(if $(IR),--ir "$(IR)") $(if $(VIS),--vis "$(VIS)")

test: dev
	$(BIN)/python -m pytest -n auto --dist worksteal tests

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: dev
	$(BIN)/edgefuse bench all --runtime torch,ort --imgsz 480 640 256 256

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

install: $(BIN)/python
	rm -f $(VENV)/editable
	$(BIN)/python -m pip install --quiet --constraint constraints.txt .

dev: $(VENV)/editable

$(VENV)/editable: $(BIN)/python $(PACKAGE)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist out
