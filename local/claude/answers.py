"""The emulator's answers: a label for a classification, a value for a schema, otherwise a short echo. The same prompt always
gets the same answer."""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from local.claude import fitting, sentiment
from local.claude.jsontypes import Json
from local.claude.params import Block, Params, generic
from local.claude.tokens import of_text

_CHARACTERS_PER_TOKEN = 4
_TASK = re.compile(r"(?i)\b(classif|label|categor|sentiment|choose|which of|one of|either)")
_LIST = re.compile(r"([\w-]+(?:, ?[\w-]+)*),? or ([\w-]+)")
_TAGGED = re.compile(r"(?s)<(\w+)>(.*?)</\1>")
_HEADED = re.compile(r"(?m)^[A-Z]\w{1,20}:[ \n]")
_JSON = re.compile(r"\bJSON\b")
_SENTENCE = re.compile(r"(?s)\s*(.+?[.!?])(?:\s|$)")
_WORDS_ECHOED = 24
_FILLER = "This answer is filler, as long as it was ordered to be. " * 1024


class Answer(Struct):
    """An answer before it becomes a message: a text, or the input of the tool that was asked for."""

    text: str
    stop_reason: str
    output_tokens: int
    stop_sequence: str | None = None
    tool: str | None = None
    tool_input: Json = None


def compose(params: Params, length: int = 0) -> Answer:
    """The answer to a request; with ``length`` it is that many bytes of filler, whatever was asked and allowed.

    Filler is for measurements: making it costs next to nothing, so that the emulator is not what is measured.
    """
    if length:
        return Answer(_filler(length), "end_turn", -(-length // _CHARACTERS_PER_TOKEN))
    system, prompt = text_of(params.system), _last_user_text(params)
    if params.tools is not None and params.tool_choice is not None:
        tool = _forced_tool(params.tools, params.tool_choice)
        if tool is not None:
            value = _fitted(tool.get("input_schema"), prompt)
            size = of_text(msgspec.json.encode(value).decode())
            return Answer("", "tool_use", size, tool=str(tool.get("name")), tool_input=value or {})
    text = _text(params.output_config, system, prompt)
    return _stopped(text, params)


def text_of(content: str | list[Block]) -> str:
    """All the text of a content."""
    return content if isinstance(content, str) else "\n".join(block.text for block in content if block.text)


def _last_user_text(params: Params) -> str:
    return next((text_of(turn.content) for turn in reversed(params.messages) if turn.role == "user"), "")


@lru_cache(maxsize=4)
def _filler(length: int) -> str:
    return (_FILLER * (length // len(_FILLER) + 1))[:length]


def _stopped(text: str, params: Params) -> Answer:
    for sequence in params.stop_sequences or ():
        if sequence and sequence in text:
            text = text.partition(sequence)[0]
            return Answer(text, "stop_sequence", max(1, of_text(text)), stop_sequence=sequence)
    if of_text(text) > params.max_tokens:
        return Answer(text[: params.max_tokens * _CHARACTERS_PER_TOKEN], "max_tokens", params.max_tokens)
    return Answer(text, "end_turn", max(1, of_text(text)))


def _forced_tool(tools: Raw, choice: Raw) -> dict[str, Json] | None:
    wanted, given = generic(choice), generic(tools)
    if not isinstance(wanted, dict) or wanted.get("type") not in ("any", "tool") or not isinstance(given, list):
        return None
    known = [tool for tool in given if isinstance(tool, dict) and tool.get("name")]
    return next((tool for tool in known if wanted["type"] == "any" or tool["name"] == wanted.get("name")), None)


def _text(output_config: Raw, system: str, prompt: str) -> str:
    config = generic(output_config)
    form = config.get("format") if isinstance(config, dict) else None
    if isinstance(form, dict) and form.get("type") == "json_schema":
        return msgspec.json.encode(_fitted(form.get("schema"), prompt)).decode()
    instruction, subject = _split(prompt)
    labels = _labels(f"{system}\n{instruction}")
    said = _choice(list(labels), subject) if labels else _echo(subject)
    if _JSON.search(instruction) or _JSON.search(system):
        return msgspec.json.encode({"label" if labels else "answer": said}).decode()
    return str(said)


def _fitted(schema: Json, prompt: str) -> Json:
    subject = _split(prompt)[1]
    return fitting.fit(schema, _echo(subject), lambda options: _choice(options, subject))


def _split(prompt: str) -> tuple[str, str]:
    """The part of a prompt that says what to do, and the text it is to be done with."""
    tagged = _TAGGED.search(prompt) if "<" in prompt else None
    if tagged:
        return prompt[: tagged.start()] + prompt[tagged.end() :], tagged[2]
    headed = _HEADED.search(prompt, 1)
    if headed:
        return prompt[: headed.start()], prompt[headed.end() :]
    for separator in ("\n", ": "):
        first, found, rest = prompt.partition(separator)
        if found and rest.strip() and _TASK.search(first):
            return first, rest
    return (prompt, _LIST.sub("", prompt)) if _TASK.search(prompt) else ("", prompt)


@lru_cache(maxsize=1024)
def _labels(instruction: str) -> tuple[str, ...]:
    """The labels an instruction offers ("as positive, negative or neutral"); empty if it asks for none."""
    if not _TASK.search(instruction):
        return ()
    longest = max(_LIST.finditer(instruction), key=lambda match: match[0].count(","), default=None)
    return (*re.split(r", ?", longest[1]), longest[2]) if longest else ()


def _choice(options: list[Json], subject: str) -> Json:
    """One of the options: the sentiment where that is among them, or one named in the text, or any, always the same."""
    by_word = {str(option).lower(): option for option in options}
    feeling = sentiment.judge(subject)
    if "positive" in by_word and "negative" in by_word:
        return by_word.get(feeling, by_word.get("mixed", by_word["positive"]))
    if by_word.keys() == {"yes", "no"}:
        return by_word["no" if feeling == "negative" else "yes"]
    lowered = subject.lower()
    for word, option in by_word.items():
        if word and word in lowered:
            return option
    return options[zlib.crc32(subject.encode("utf-8", "replace")) % len(options)]


def _echo(subject: str) -> str:
    sentence = _SENTENCE.match(subject)
    words = (sentence[1] if sentence else subject).split()
    more = "..." if len(words) > _WORDS_ECHOED else ""
    return f"In short: {' '.join(words[:_WORDS_ECHOED])}{more}"
