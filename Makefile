# make sample      makes the environment, generates a small dataset, converts it, and prints what to type next
# make test        runs the tests, and lists those that were skipped with the command that has them run
# make lint        checks format, lint, order of imports and types
# make docs        builds the site of docs/ into site/
#
# What some tests need, each installed by a target of its own:
# make dev         TensorFlow, clients of object stores, DuckDB, linters (2 GB)
# make peers       the Object Detection API, Model Garden and the programs that benchmarks compare with (5 GB)
# make engines     Prism, Flink and Spark (needs Go, Java 17, Maven)
# make hdfs        Hadoop's HDFS (needs Java 17, Maven)
# make postgresql  PostgreSQL's server (Debian, Ubuntu)
# make chromium    Chromium and its driver (Debian, Ubuntu)
# make everything  all of these
#
# make quick       runs the tests of the rooms that need nothing else, for another Python: PYTHON=python3.13 VENV=.venv-3.13
# make dist        builds wheel and sdist, checks them, and converts the sample with the wheel alone
# make long        runs 1,000 schedules of faults through the whole command, faults on Flink, readers on each store, and
#                  the trainings
# make trainings   trains with the Object Detection API, Model Garden and torchvision on a sample, and reads the records
#                  with PyTorch and DALI (7 to 11 GB; Python 3.11)
# make container   builds the image of the Dataflow template on stand-in bases (root on Debian or Ubuntu) and tests it

# Without compiled modules, each of the hundreds of commands that the tests start takes 0.15 s longer.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV ?= .venv
SAMPLE ?= sample
CONTAINER ?= .container
BIN := $(VENV)/bin
PACKAGE := setup.py pyproject.toml
PYTHON311 ?= python3.11
PEERS := datumaro tfds tables garden
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Each has its pins in examples/NAME/requirements.txt.
PINNED := object_detection_api model_garden
QUICK := tests/openimages tests/records tests/images tests/join tests/settings tests/dataset tests/cli
FAULTS := tests/end_to_end/faults

.PHONY: sample test quick lint docs dev peers engines hdfs postgresql chromium everything dist long trainings container clean
.DELETE_ON_ERROR:

sample: $(VENV)/installed
	rm -rf $(SAMPLE)
	$(BIN)/oi-tfrecord sample --output_dir=$(SAMPLE)/data
	for split in train validation; do \
	  $(BIN)/oi-tfrecord convert --config=configs/sample.yaml --split=$$split || exit 1; \
	done
	@echo
	@echo "The records are in $(SAMPLE)/records. What to type next:"
	@echo "  $(BIN)/oi-tfrecord show $(SAMPLE)/records/train.tfrecord-00000-of-00004:0 --png=record.png   # look at a record"
	@echo "  $(BIN)/oi-tfrecord report $(SAMPLE)/records                                             # count classes and boxes"
	@echo "  $(BIN)/oi-tfrecord convert --help                                                    # convert Open Images"

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile

quick: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile $(QUICK)

lint: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

docs: dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

dev: $(VENV)/installed-dev

peers: .venv-peers/installed $(PEERS:%=.venv-%/installed)

engines: dev
	tests/support/engines/install.sh .venv-engines $(BIN)/python

hdfs: .hadoop

postgresql:
	tests/support/install_postgres.sh

chromium:
	tests/support/install_chromium.sh

everything: dev peers engines hdfs postgresql chromium

dist: dev
	tests/support/check_release.sh $(BIN)/python dist

container: dev
	tests/support/engines/install.sh .venv-engines $(BIN)/python prism
	tests/support/container/build.sh $(CONTAINER)
	OI_TFRECORD_CONTAINER=$(CONTAINER) tests/support/container/offline.sh $(BIN)/python -m pytest tests/end_to_end/runners/test_container.py

long: dev hdfs
	OI_TFRECORD_LONG=1 $(BIN)/python -m pytest -n 2 --dist load $(FAULTS)/test_fault_commands.py $(FAULTS)/test_fault_schedules.py \
	  $(FAULTS)/test_damage_schedules.py
	OI_TFRECORD_LONG=1 $(BIN)/python -m pytest $(FAULTS)/test_flink_faults.py tests/end_to_end/test_read_everywhere.py
	$(BIN)/python -m mutmut run
	! $(BIN)/python -m mutmut results | grep .
	$(MAKE) trainings

trainings: dev .venv-peers/installed $(PINNED:%=.venv-%/installed) .venv-torchvision/installed .venv-dali/installed
	OI_TFRECORD_LONG=1 $(BIN)/python -m pytest tests/end_to_end/trainers/test_torch_loader.py \
	  tests/end_to_end/trainers/test_dali.py tests/end_to_end/trainers/test_trainings.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "error: Python 3.11 to 3.13 is needed; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(PACKAGE) | $(BIN)/python
	$(PIP) install --editable .
	touch $@

$(VENV)/installed-test: $(PACKAGE) | $(BIN)/python
	$(PIP) install --editable '.[test]'
	touch $@ $(VENV)/installed

$(VENV)/installed-dev: $(PACKAGE) | $(BIN)/python
	$(PIP) install --editable '.[dev]'
	touch $@ $(VENV)/installed $(VENV)/installed-test

.venv-peers/installed: tests/support/peers/install.sh $(VENV)/installed-dev
	tests/support/peers/install.sh .venv-peers $(BIN)/python
	touch $@

$(PEERS:%=.venv-%/installed) .venv-dali/installed: .venv-%/installed: tests/support/peers/install_peer.sh $(VENV)/installed-dev
	tests/support/peers/install_peer.sh $* .venv-$* $(BIN)/python
	touch $@

$(PINNED:%=.venv-%/installed): .venv-%/installed: examples/%/requirements.txt
	$(PYTHON311) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip install --quiet --no-deps --requirement $<
	touch $@

# PyTorch's own index has wheels for the CPU (200 MB); those of PyPI bring CUDA's libraries (5 GB).
.venv-torchvision/installed: examples/torchvision/requirements.txt $(PACKAGE)
	$(PYTHON311) -m venv --clear .venv-torchvision
	.venv-torchvision/bin/python -m pip install --quiet --retries=1 --no-deps --requirement $< \
	  --index-url=https://download.pytorch.org/whl/cpu || echo "no wheels for the CPU: those of PyPI are installed"
	.venv-torchvision/bin/python -m pip install --quiet --requirement $< --editable .
	touch $@

.hadoop: tests/support/hdfs/install.sh tests/support/hdfs/pom.xml
	tests/support/hdfs/install.sh .hadoop
	touch $@

clean:
	rm -rf $(VENV) .venv-* .hadoop $(CONTAINER) $(SAMPLE) build dist site *.egg-info
