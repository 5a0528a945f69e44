#!/bin/sh
# Makes the two environments of a checkout: .venv with everything pinned, and one with nothing but MiniStack; given the word build, instead
# one with nothing but SAM CLI. Needs any Python 3 and a package index; where there is no Python 3.13, uv fetches one.
set -eu
cd "$(dirname "$0")/.."
say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

environment() { # <folder> <requirements>
    [ -f "$1/ready" ] && [ ! "$2" -nt "$1/ready" ] && return
    say "Setting up $1 ..."
    # Seen from the old folder, uv itself may live in what is replaced: a folder of the right Python is kept and synchronised.
    "$1/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null ||
        requirements/uv venv --quiet --clear --python "$(requirements/python 2>/dev/null || echo 3.13)" "$1" ||
        die "Python 3.13 was not found and could not be fetched: install it, or let uv reach its downloads."
    requirements/uv pip sync --quiet --require-hashes --python "$1/bin/python" "$2" ||
        die "The packages of $2 could not be installed: is the package index reachable (pip's or uv's setting)?"
    touch "$1/ready"
}

importable() { # the layer's package and the command line's, for tests and tools of this checkout
    printf '%s\n' "$PWD/layers/core" "$PWD/cli" >.venv/lib/python3.13/site-packages/batchdrop-core.pth
}

mkdir -p .local
if [ "${1:-}" = build ]; then
    environment .local/build requirements/build.txt
    exit
fi
environment .venv requirements/dev.txt
environment .local/ministack/venv requirements/ministack.txt
importable
