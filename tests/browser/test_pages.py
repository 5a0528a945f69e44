"""report.html and index.html as people open them: headless Chromium, desk and phone, light and dark, on paper, without style."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser.environment import CHROMIUM, PYTHON, SHOTS
from tests.browser.pages import ARABIC, EVIL, pages

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(not PYTHON.exists(), reason="`make browser` installs playwright"),
]
_STATES = tuple(pages())
_BROKEN = "broken"
# What each of the checks below has to notice.
_BAD_PAGE = (
    b"<!doctype html><html><head><title></title><style></style></head><body><main><p style='color:#eee;width:3000px'>pale"
    b"<img src='missing.png' onerror='window.x = 1'><script>console.log('I ran'); alert(1)</script></main></body></html>"
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("pages")
    for name, body in (pages() | {_BROKEN: _BAD_PAGE}).items():
        (folder / f"{name}.html").write_bytes(body)
    command = [PYTHON, Path(__file__).with_name("look.py"), CHROMIUM, folder, SHOTS]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def test_the_checks_notice_a_page_that_breaks_them(seen: dict[str, dict[str, Any]]) -> None:
    for way in ("desk", "phone"):
        found = seen[f"{_BROKEN}.{way}"]
        assert found["requests"]
        assert found["dialogs"]
        assert found["messages"]
        assert found["scripts"] == 2
        assert found["handlers"] == ["onerror"]
        assert found["violations"]
        assert found["sideways"] > 0
    assert "/outbox/missing.png" in seen[f"{_BROKEN}.link"]["asked"]


@pytest.mark.parametrize("way", ["desk", "phone"])
@pytest.mark.parametrize("state", _STATES)
def test_a_page_loads_nothing_runs_nothing_and_is_accessible(seen: dict[str, dict[str, Any]], state: str, way: str) -> None:
    found = seen[f"{state}.{way}"]
    assert found["requests"] == found["dialogs"] == found["messages"] == found["handlers"] == []
    assert found["scripts"] == 0
    assert found["violations"] == []
    assert found["passes"] > 10
    assert found["sideways"] == 0
    assert found["visible_answer"] is not False


@pytest.mark.parametrize("state", [state for state in _STATES if state != "hostile"])
def test_on_a_wide_desk_no_table_is_cut_and_no_word_is_broken(seen: dict[str, dict[str, Any]], state: str) -> None:
    """The column `cost` was cut off beside empty margins, and words broke after ten letters in columns of 90 pixels."""
    assert seen[f"{state}.wide"]["broken"] == seen[f"{state}.wide"]["broken_on_a_phone"] == []
    assert seen[f"{state}.wide"]["cut"] == 0


@pytest.mark.parametrize("state", _STATES)
def test_without_its_style_and_on_paper_it_says_the_same(seen: dict[str, dict[str, Any]], state: str) -> None:
    found = seen[f"{state}.desk"]
    for word in found["text"].split():
        assert word in found["unstyled"]
    assert found["pdf_pages"] >= 1
    assert found["print_details"]


@pytest.mark.parametrize("state", _STATES)
def test_a_signed_link_shows_all_of_it_while_every_other_object_is_denied(seen: dict[str, dict[str, Any]], state: str) -> None:
    found = seen[f"{state}.link"]
    assert found["asked"] == [found["signed"]]
    assert found["text"] == seen[f"{state}.desk"]["text"]


def test_a_path_with_names_from_right_to_left_keeps_its_order(seen: dict[str, dict[str, Any]]) -> None:
    shown = [text for _, text in sorted(seen["right-to-left.desk"]["path"])]
    assert shown == ["outbox", "تسويق", "مراجعات الربع", "20261122T003115Z-aaaaaaaaaaaaaaaa"]


def test_data_is_shown_as_it_is_and_what_is_hidden_as_signs(seen: dict[str, dict[str, Any]]) -> None:
    text = seen["hostile.desk"]["text"]
    visible = EVIL.replace("\x00", "\u2400").replace("\x1b", "\u241b")
    assert visible in text
    assert "[U+202E]gnp.exe[U+202C]" in text
    assert ARABIC in text
    assert "\u202e" not in text
