# Every target makes its own environment first: nothing to install by hand but Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: install demo test lint types imports format docs bench constraints clean proto

install: $(STAMP)

# pip below 24 backtracks for minutes over these pins, so pip comes first.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=26'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/gristmill demo

# A file's tests share what it starts, so they stay together; in the order of the folders, for the last ones are short.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python -m gristmill.cli.reference > docs/cli.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# After a change of dependencies; local build tags such as +cpu are no part of a version that others can find.
constraints:
	echo "# The versions that this repository was built and tested with; 'make constraints' writes them from $(VENV)." > constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable | grep -v ' @ ' | sed 's/+cpu$$//' >> constraints.txt

clean:
	rm -rf site build dist .pytest_cache .mypy_cache .ruff_cache

# In a descriptor pool of their own: tritonclient and kserve each claim the names of package inference in the shared one.
PROTO = src/gristmill/serving/gateway/rpc/open_inference
proto: $(STAMP)
	$(BIN)/python -m grpc_tools.protoc -I src --python_out=src --pyi_out=src $(PROTO).proto
	sed -i 's/_descriptor_pool.Default()/_descriptor_pool.DescriptorPool()/' $(PROTO)_pb2.py
