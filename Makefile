# The daily commands. Each is one line that also works when typed by hand.
.DEFAULT_GOAL := help
.PHONY: help install dev demo test soak parity bench statistics lint format types imports check docs openapi recording

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: ## Make the virtual environment
	uv sync

dev: ## Serve the API and a worker, with everything embedded
	uv run assay serve

demo: ## A whole evaluation on bundled data
	uv run assay demo

test: ## The test suite
	uv run pytest

soak: ## Long load and soak tests
	uv run pytest -m soak

parity: ## Record the expected values of the parity tests anew, by the field's own harnesses (6 GB)
	uv run --isolated --group parity python -m tests.scoring.parity.regenerate

bench: ## Throughput of evaluation runs against a bare loop
	uv run python -m benchmarks.eval_run

statistics: ## Measure coverage and error rates of the statistics anew, and write them into the docs
	uv run python -m benchmarks.statistics

lint: ## Form and lint
	uv run ruff format --check .
	uv run ruff check .

format: ## Bring the code into form, and mend what can be mended
	uv run ruff format .
	uv run ruff check --fix .

types: ## Type check
	uv run pyright

imports: ## The floors: imports only go down
	uv run lint-imports

check: lint types imports test ## Everything that a change must pass

docs: openapi ## Write the pages and documents that are made from the program anew
	uv run python -m assay.cli.reference docs

openapi: ## Write the OpenAPI document of each dialect anew
	uv run python -m assay.dialects.mka1.openapi docs/openapi/mka1.json
	uv run python -m assay.dialects.posthog.openapi docs/openapi/posthog.json
	uv run python -m assay.dialects.overmind.openapi docs/openapi/overmind.json

recording: ## Record the demo anew as the picture in the README
	uv run python docs/images/record.py
