"""Every command that a page shows is known to its program, and CONTRIBUTING names what runs it, or says that nobody does."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec

import click
import pytest
from click.testing import CliRunner

from batchdrop_cli.main import batchdrop
from tests.docs.pages import PAGES, ROOT, blocks, links, name_of, section, table_rows
from tests.docs.shell import Command, commands_in, functions
from tests.interop.aws_commands import ONLY_CHECKED

_PAGE = ROOT / "CONTRIBUTING.md"
_SECTION = "commands-in-these-documents"
_TESTED = {row[0].strip("`"): row[1] for row in table_rows(section(_PAGE, "Commands in these documents"))}
_NOBODY = "nobody: "
_SHOWN = [(page, command) for page in PAGES for block in blocks(page, "sh") for command in commands_in(block)]
# Of the shell, and of every machine; where they serve a command of AWS, they run with it.
_OF_THE_SHELL = {".", "date", "eval", "export", "git", "printf", "read", "sed", "set", "source"}
_DEFINED = {name for page in PAGES for block in blocks(page, "sh") for name in functions(block)}


def _options(words: tuple[str, ...], kind: str = "--") -> list[str]:
    return sorted({word for word in words if word.startswith(kind)})


def _key(command: Command) -> str | None:
    """As the table has it. None: the shell's own, or a function of a page."""
    program, *rest = command.words
    match program.rpartition("/")[2]:
        case own if own in _OF_THE_SHELL or own in _DEFINED:
            return None
        case "aws":
            return " ".join(command.words[:3]) if command.words[2:3] and command.words[2] in ONLY_CHECKED else "aws"
        case "batchdrop" if not rest:
            return " ".join([*(one.partition("=")[0] + "=" for one in command.sets), "batchdrop"])
        case "batchdrop":
            return " ".join(["batchdrop", rest[0], *_options(command.words)]).replace("switch pause", "switch")
        case "make":
            return f"make {rest[0]}"
        case "python":
            named = rest[:2] if rest[0] == "-m" else rest[:1]
            return " ".join(["python", *named, *_options(command.words)])
        case "sam":
            named = rest[:2] if rest[0] == "local" else rest[:1]
            return " ".join(["sam", *named, *_options(command.words)])
        case other:
            return " ".join([other, *(word for word in rest if re.fullmatch("-[a-z]+", word))])


def test_the_table_has_every_command_and_no_other() -> None:
    assert sorted(_TESTED) == sorted({key for _, command in _SHOWN if (key := _key(command))})


@pytest.mark.parametrize("key", [key for key, by in _TESTED.items() if not by.startswith(_NOBODY)])
def test_what_runs_a_command_exists(key: str) -> None:
    (named,) = re.findall(r"`([\w./:]+)`$", _TESTED[key])
    path, _, test = named.partition("::")
    code = (ROOT / path).read_text()
    assert not test or re.search(rf"^def {test}\(|import .*\b{test}\b", code, re.MULTILINE), f"{path} has no {test}"
    if path.startswith("."):
        assert key in code
    if path.startswith("tests/cli/"):
        assert [option for option in _options(tuple(key.split())) if f'"{option}"' not in code] == []


def test_a_page_says_what_nobody_runs() -> None:
    untested = {page for page, command in _SHOWN if _TESTED.get(_key(command) or "", "").startswith(_NOBODY)} - {_PAGE}
    assert sorted(name_of(page) for page in untested if not any(link.endswith(f"#{_SECTION}") for link in links(page))) == []


@pytest.mark.parametrize("words", sorted({one.words for _, one in _SHOWN if one.words[0] == "batchdrop" and len(one.words) > 1}))
def test_the_command_line_knows_the_words(words: tuple[str, ...]) -> None:
    command = batchdrop.get_command(click.Context(batchdrop), words[1])
    assert command, words
    given, rest, _ = command.make_parser(click.Context(command)).parse_args(list(words[2:]))
    assert rest == []
    assert [one.name for one in command.params if one.required and one.name not in given] == []


def test_make_takes_the_variables() -> None:
    makefile = (ROOT / "Makefile").read_text()
    given = {word.partition("=")[0] for _, one in _SHOWN if one.words[0] == "make" for word in one.words[2:]}
    assert given
    assert sorted(name for name in given if not re.search(rf"\$\((?:value )?{name}\)", makefile)) == []


def test_the_modules_exist() -> None:
    modules = {one.words[2] for _, one in _SHOWN if one.words[0].endswith("python") and one.words[1] == "-m"}
    assert sorted(name for name in modules if find_spec(name) is None) == []


@pytest.mark.parametrize("key", [key for key in _TESTED if key.startswith("sam ")])
def test_sam_knows_the_options(key: str) -> None:
    cli = import_module("samcli.cli.main").cli
    named = [word for word in key.split()[1:] if not word.startswith("--")]
    help_text = CliRunner().invoke(cli, [*named, "--help"]).output
    assert [option for option in _options(tuple(key.split())) if option not in help_text] == []


class TestTheShellOfThePages:
    def test_commands_of_a_list_and_of_a_pipe(self) -> None:
        assert [one.words for one in commands_in("a b && c | d; e &  # f\n# g\nh")] == [
            ("a", "b"),
            ("c",),
            ("d",),
            ("e",),
            ("h",),
        ]

    def test_a_command_within_a_word_is_one_too(self) -> None:
        script = 'a "x$(b \'1 2\' "$(c)")y" -z'
        assert [one.words[0] for one in commands_in(script)] == ["c", "b", "a"]

    def test_quotes_go_over_lines(self) -> None:
        assert [one.words for one in commands_in("a 'b\nc' \\\n  \"d e\"")] == [("a", "b\nc", "d e")]

    def test_what_is_set_before_a_command(self) -> None:
        assert list(commands_in("A=1 b c\nD=2")) == [Command(("b", "c"), ("A=1",))]

    @pytest.mark.parametrize("script", ["a 'b", "a $(b"])
    def test_what_is_not_closed_is_an_error(self, script: str) -> None:
        with pytest.raises(ValueError, match="is not closed"):
            list(commands_in(script))
