#!/bin/sh
# Compiles the pinned requirements from the *.in files: `make requirements`. No index address reaches the result, so any index serves.
set -eu
cd "$(dirname "$0")"

compile() { # <in> <out> [options]
    in=$1 out=$2
    shift 2
    ./uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header \
        --python-version 3.13 --python-platform x86_64-manylinux_2_28 "$@" "$in" -o "$out"
}

compile bootstrap.in bootstrap.txt
compile ministack.in ministack.txt
compile vulnerabilities.in vulnerabilities.txt
compile dev.in dev.txt --constraints bootstrap.txt
compile build.in build.txt --constraints dev.txt
# The functions run on exactly the versions that the tests ran on.
compile dependencies.in ../layers/dependencies/requirements.txt --constraints dev.txt
