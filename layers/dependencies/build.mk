# Called by `sam build` with ARTIFACTS_DIR set; LAYER_PLATFORM is set by the folder of the processor. No container: wheels only, by platform.
# sam runs this in a scratch folder but names this file by its own path, so the checkout is found from here.
HERE := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
ROOT := $(HERE)../..
TARGET := $(ARTIFACTS_DIR)/python
PYTHON := $(shell "$(ROOT)/requirements/python")

build-DependenciesLayer:
	@test -n "$(PYTHON)"
	"$(ROOT)/requirements/uv" pip install --quiet --target "$(TARGET)" --python "$(PYTHON)" --python-version 3.13 \
		--python-platform $(LAYER_PLATFORM) --only-binary :all: --require-hashes --requirement "$(HERE)requirements.txt"
	"$(PYTHON)" "$(HERE)prune.py" "$(TARGET)"
	"$(PYTHON)" "$(HERE)../precompile.py" "$(TARGET)"
