"""``python -m local.claude``: the emulator alone."""

from __future__ import annotations

import sys

from local.claude import options, server

if __name__ == "__main__":
    try:
        server.serve(options.parse())
    except OSError as error:  # most often: the port is taken
        sys.exit(f"The Claude emulator cannot start: {error}")
