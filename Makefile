.DEFAULT_GOAL := help
.PHONY: help install demo test test-long lint format mlflow-ui reproduce-cifar10 reproduce-cifar100 reproduce-imagenet reproduce-nasbench201 reproduce-superres slurm-up slurm-down test-slurm test-slurm-smoke test-slurm-many test-kills pack unpack results

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= auto
RUNS_DIR ?= $(CURDIR)/runs
JOBS ?=
export RUNS_DIR
export OMP_NUM_THREADS ?= 1

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

$(VENV)/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): the first time takes some minutes and about 5 GB (torch with its CUDA parts)"
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=24" -c constraints.txt
	@$(BIN)/python -m pip install --quiet --editable ".[dev]" -c constraints.txt
	@touch $@

install: $(VENV)/installed ## make .venv with the tested versions (every target does it when it is missing)

demo: $(VENV)/installed ## the whole pipeline on data that ships with a dependency; minutes on two CPU cores
	$(BIN)/dasbench run demo --profile quick --device cpu

reproduce-cifar10: $(VENV)/installed ## CIFAR-10 comparison; PROFILE=quick|short|paper, DATA_ROOT=<folder>; EXECUTOR=slurm CLUSTER=<profile>
	$(BIN)/dasbench $(if $(filter slurm,$(EXECUTOR)),launch,run) cifar10 --profile $(PROFILE) $(if $(CLUSTER),--cluster $(CLUSTER))

reproduce-cifar100: $(VENV)/installed ## CIFAR-100 comparison, as above; rows transferred from CIFAR-10 need reproduce-cifar10 of the same profile before
	$(BIN)/dasbench $(if $(filter slurm,$(EXECUTOR)),launch,run) cifar100 --profile $(PROFILE) $(if $(CLUSTER),--cluster $(CLUSTER))

# Without a cluster and without a GPU only its profile quick is run; of any other it is said what it would take.
reproduce-imagenet: $(VENV)/installed ## ImageNet comparison: EXECUTOR=slurm CLUSTER=<profile> PROFILE=paper; DATA_ROOT/imagenet/{train,val}/<class>/
ifeq ($(EXECUTOR),slurm)
	$(BIN)/dasbench launch imagenet --profile $(if $(filter auto,$(PROFILE)),paper,$(PROFILE)) $(if $(CLUSTER),--cluster $(CLUSTER))
else ifeq ($(PROFILE),quick)
	$(BIN)/dasbench run imagenet --profile quick
else
	@if $(BIN)/python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then \
		$(BIN)/dasbench run imagenet --profile $(PROFILE); \
	else \
		echo "No GPU here. What it would take (EXECUTOR=slurm CLUSTER=<profile> launches it, PROFILE=quick runs here):"; \
		$(BIN)/dasbench launch imagenet --profile $(if $(filter auto,$(PROFILE)),paper,$(PROFILE)) --estimate $(if $(CLUSTER),--cluster $(CLUSTER)); \
	fi
endif

reproduce-nasbench201: $(VENV)/installed ## published values by look-up, no data to download; minutes on two cores; PROFILE=quick|paper
	$(BIN)/dasbench run nasbench201 --profile $(if $(filter auto,$(PROFILE)),quick,$(PROFILE))

reproduce-superres: $(VENV)/installed ## super-resolution on photographs that ship with dependencies; minutes on two cores; PROFILE=quick|short|paper
	$(BIN)/dasbench run superres --profile $(if $(filter auto,$(PROFILE)),quick,$(PROFILE))

test: $(VENV)/installed ## all tests that need no cluster and no GPU
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slurm and not long"

test-long: $(VENV)/installed ## what takes a minute or more: curves of 200 steps, GPU kernels interpreted and compiled
	$(BIN)/python -m pytest -n 2 --dist load -m "long and not slurm"

slurm-up: ## bring up a real SLURM cluster on this machine, for tests (Debian, root)
	slurm/testing/up.sh

slurm-down: ## stop it; PURGE=1 forgets its state and configuration
	slurm/testing/down.sh $(if $(PURGE),--purge)

test-slurm: $(VENV)/installed ## the fault suite on the machine's own SLURM, else on a test cluster it brings up
	@scontrol ping >/dev/null 2>&1 || $(MAKE) slurm-up
	$(BIN)/python -m pytest -v -n 3 --dist loadfile -m "slurm and not many" tests/slurm

test-slurm-smoke: $(VENV)/installed ## its most important scenarios: arrays, a requeue, a node crash
	@scontrol ping >/dev/null 2>&1 || $(MAKE) slurm-up
	$(BIN)/python -m pytest -v -n 2 --dist loadfile -m "slurm and smoke" tests/slurm

test-slurm-many: $(VENV)/installed ## an array of two hundred tasks; minutes
	@scontrol ping >/dev/null 2>&1 || $(MAKE) slurm-up
	$(BIN)/python -m pytest -v -s -m "slurm and many" tests/slurm

test-kills: $(VENV)/installed ## 20 SIGKILLs at seeded random moments of searches and trainings
	DASBENCH_KILLS=20 $(BIN)/python -m pytest -v -s tests/slurm/test_local_faults.py

lint: $(VENV)/installed ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed ## let ruff write the format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pack: $(VENV)/installed ## all records as pieces into a new folder, to be carried elsewhere; TO=<folder> PIECE_SIZE=15M
	$(BIN)/dasbench pack $(if $(TO),"$(TO)",packed) $(if $(PIECE_SIZE),--piece-size $(PIECE_SIZE))

unpack: $(VENV)/installed ## restore them into RUNS_DIR; FROM=<folder>; then the same commands go on
	$(BIN)/dasbench unpack $(if $(FROM),"$(FROM)",packed)

results: $(VENV)/installed ## make the tables of reports/results/ again from the records that are kept beside them
	$(BIN)/python -m reports.regenerate

mlflow-ui: $(VENV)/installed ## browse the results; http://127.0.0.1:5000
	@echo "Open http://127.0.0.1:5000 and choose 'Model training' at the top left"
	$(BIN)/mlflow ui --backend-store-uri sqlite:///$(RUNS_DIR)/mlflow.db --host 127.0.0.1
