#!/bin/sh
# Makes the two environments of a checkout: .venv with everything pinned, and one with nothing but MiniStack. Needs any Python 3 and a
# package index; where there is no Python 3.13, uv fetches one.
set -eu
cd "$(dirname "$0")/.."
say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

bootstrap() { # uv in .local/uv, by whatever this machine's Python can do
    for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11 python; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || continue
        rm -rf .local/uv
        if "$python" -m venv .local/uv >/dev/null 2>&1; then
            .local/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt && return
        fi
        rm -rf .local/uv # a Debian Python without its venv package still has pip
        "$python" -m pip install --quiet --disable-pip-version-check --target .local/uv --require-hashes \
            -r requirements/bootstrap.txt && return
    done
    die "make setup needs Python 3.9 or newer with venv or pip (on Debian: apt-get install python3-venv), or uv."
}

python() { # a Python 3.13 of this machine, pyenv's included, else the version for uv to look for and fetch
    for python in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13; do
        "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || continue
        "$python" -c 'import sys; print(sys.executable)'
        return
    done
    echo 3.13
}

environment() { # <folder> <requirements>
    [ -f "$1/ready" ] && [ ! "$2" -nt "$1/ready" ] && return
    say "Setting up $1 ..."
    # Seen from the old folder, uv itself may live in what is replaced: a folder of the right Python is kept and synchronised.
    "$1/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null ||
        requirements/uv venv --quiet --clear --python "$(python)" "$1" ||
        die "Python 3.13 was not found and could not be fetched: install it, or let uv reach its downloads."
    requirements/uv pip sync --quiet --require-hashes --python "$1/bin/python" "$2" ||
        die "The packages of $2 could not be installed: is the package index reachable (pip's or uv's setting)?"
    touch "$1/ready"
}

importable() { # the layer's package and the command line's, for tests and tools of this checkout
    printf '%s\n' "$PWD/layers/core" "$PWD/cli" >.venv/lib/python3.13/site-packages/batchdrop-core.pth
}

mkdir -p .local
[ -x .venv/bin/uv ] || [ -x .local/uv/bin/uv ] || command -v uv >/dev/null || bootstrap
environment .venv requirements/dev.txt
environment .local/ministack/venv requirements/ministack.txt
importable
