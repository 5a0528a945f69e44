"""Answers the questions of a program on a pseudo terminal, as a person would."""

from __future__ import annotations

import os
import pty
import re
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# A bound of waiting: the longest step between two questions creates the stack.
_PATIENCE = 300.0
# So long must a program be silent before its last line counts as a question.
_QUIET = 0.4
_QUESTION = re.compile(r"\][ :]*$|[:?] *$")
_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], answers: Mapping[str, str]) -> tuple[int, str]:
    """Its exit code and all that it showed. A question is answered by the entry whose name it contains, else with Enter."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(folder)
        os.execvpe(command[0], list(command), dict(environment))
    shown, unanswered = "", ""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if select.select([terminal], [], [], _QUIET)[0]:
            try:
                text = os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # Linux says so when the other side has closed
                break
            shown, unanswered = shown + text, unanswered + text
            continue
        question = _STYLE.sub("", unanswered.rsplit("\n", 1)[-1]).rstrip("\r")
        if question.strip() and _QUESTION.search(question):
            answer = next((answer for name, answer in answers.items() if name in question), "")
            os.write(terminal, f"{answer}\n".encode())
            unanswered = ""
    else:
        raise AssertionError(f"{command[0]} has not ended:\n{shown[-2000:]}")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), _STYLE.sub("", shown)
