# make sample   makes the environment, generates a small dataset and converts it
# make test     runs every test
# make engines  installs Prism, Flink and Spark, which `make test` runs conversions on where they are installed
# make container  builds the Dataflow template's image on stand-in bases (root, Debian or Ubuntu) and tests it
# make long     runs 1,000 schedules of faults through the whole command, faults on Flink, readers on each store
# make lint     format, lint and types

PYTHON ?= python3
VENV ?= .venv
SAMPLE ?= sample
CONTAINER ?= .container
BIN := $(VENV)/bin
PACKAGE := setup.py pyproject.toml
PEERS := datumaro tfds tables garden

.PHONY: sample test engines long container lint clean
.DELETE_ON_ERROR:

sample: $(VENV)/installed
	rm -rf $(SAMPLE)
	$(BIN)/oi-tfrecord sample --output_dir=$(SAMPLE)/data
	for split in train validation; do \
	  $(BIN)/oi-tfrecord convert --config=configs/sample.yaml --split=$$split || exit 1; \
	done

# Tests on PostgreSQL are skipped where there is none; tests/support/install_postgres.sh installs it.
test: $(VENV)/installed-dev .venv-peers/installed $(PEERS:%=.venv-%/installed) .hadoop
	$(BIN)/python -m pytest -n 2 --dist loadfile

engines: $(VENV)/installed-dev
	tests/support/engines/install.sh .venv-engines $(BIN)/python

container: $(VENV)/installed-dev
	tests/support/engines/install.sh .venv-engines $(BIN)/python prism
	tests/support/container/build.sh $(CONTAINER)
	OI_TFRECORD_CONTAINER=$(CONTAINER) tests/support/container/offline.sh $(BIN)/python -m pytest tests/end_to_end/runners/test_container.py

long: $(VENV)/installed-dev .hadoop
	OI_TFRECORD_LONG=1 $(BIN)/python -m pytest -n 2 --dist load tests/end_to_end/faults/test_fault_commands.py tests/end_to_end/faults/test_fault_schedules.py
	OI_TFRECORD_LONG=1 $(BIN)/python -m pytest tests/end_to_end/faults/test_flink_faults.py tests/end_to_end/test_read_everywhere.py

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "error: Python 3.11 to 3.13 is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(PACKAGE) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: $(PACKAGE) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/installed

.venv-peers/installed: tests/support/peers/install.sh $(VENV)/installed-dev
	tests/support/peers/install.sh .venv-peers $(BIN)/python
	touch $@

$(PEERS:%=.venv-%/installed): .venv-%/installed: tests/support/peers/install_peer.sh $(VENV)/installed-dev
	tests/support/peers/install_peer.sh $* .venv-$* $(BIN)/python
	touch $@

.hadoop: tests/support/hdfs/install.sh tests/support/hdfs/pom.xml
	tests/support/hdfs/install.sh .hadoop
	touch $@

clean:
	rm -rf $(VENV) .venv-peers $(PEERS:%=.venv-%) .hadoop .venv-engines $(CONTAINER) $(SAMPLE) build *.egg-info
