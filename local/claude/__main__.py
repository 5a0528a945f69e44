"""``python -m local.claude``: the emulator alone."""

from __future__ import annotations

from local.claude import options, serving

if __name__ == "__main__":
    serving.serve(options.parse())
