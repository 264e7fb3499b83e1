# The same commands by another name: `make test ARGS="tests/models -x"`.
PYTHON ?= python3.11

.PHONY: demo test lint bench

demo test lint bench:
	@$(PYTHON) dev.py $@ $(ARGS)
