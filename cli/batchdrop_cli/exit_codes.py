"""How commands for people end. The same numbers mean the same everywhere."""

from __future__ import annotations

ANSWERED = 0
"""Every row has an answer, or could have one."""
FAILED = 1
USAGE = 2
"""Something is missing from the command: a recipe, a key, a price."""
INCOMPLETE = 3
"""Done, but for some rows."""
STOPPED = 4
WAITS = 5
"""A person has to say yes first."""
TIMED_OUT = 6
