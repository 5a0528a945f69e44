"""chatlas's `batch_chat_text`, with its state file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from chatlas import ChatAnthropic, batch_chat_text

from bench.others.driver import MAX_TOKENS, MODEL, Row, main, prompts

_ECHO = re.compile(r"row (\d+)")


def run(source: Path, folder: Path) -> Iterator[Row]:
    chat = ChatAnthropic(model=MODEL, max_tokens=MAX_TOKENS, cache="none")
    for text in batch_chat_text(chat, prompts(source), folder / "state.json") or []:
        echo = _ECHO.search(text or "")
        yield Row(int(echo[1]) if echo else None, text, None)


if __name__ == "__main__":
    main(run)
