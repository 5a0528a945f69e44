"""The emulator's answers: a label for a classification, a value for a schema, otherwise a short echo. The same prompt always
gets the same answer."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct

from local.claude import fitting, guesses, phrases
from local.claude.jsontypes import Json
from local.claude.params import Block, Params, answer_format, generic, thinking_tokens
from local.claude.tokens import of_text

_CHARACTERS_PER_TOKEN = 4
_CHOOSES = re.compile(r"(?i)\b(classif|label|categor|sentiment|choose|which of|one of|either)")
_WRITES = re.compile(r"(?i)\b(translat|summar|describ|descript|extract|moderat|read|write)")
_LIST = re.compile(r"([\w-]+(?:, ?[\w-]+)*),? or ([\w-]+)")
_TAGGED = re.compile(r"(?s)<(\w+)>(.*?)</\1>")
_HEADED = re.compile(r"(?m)^[A-Z]\w{1,20}:[ \n]")
_JSON = re.compile(r"\bJSON\b")
_THOUGHT = "The text is read, what is asked for is looked up in it, and the answer is the plainest one."
_GARBLED = "I would rather say it in my own words."
_FILLER = "This answer is filler, as long as it was ordered to be. " * 1024


class Answer(Struct):
    """An answer before it becomes a message: a text, or the input of the tool that was asked for."""

    text: str
    stop_reason: str
    output_tokens: int
    stop_sequence: str | None = None
    tool: str | None = None
    tool_input: Json = None
    thinking: str = ""
    thinking_tokens: int = 0
    category: str | None = None
    """Of a refusal."""


def compose(params: Params, length: int = 0, mark: str | None = None) -> Answer:
    """The answer to a request; with ``length`` it is that many bytes of filler, whatever was asked and allowed.

    Filler is for measurements: making it costs next to nothing, so that the emulator is not what is measured. ``mark`` is how the
    answer fails its purpose, or that it is long (`markers.Marks.answer`).
    """
    if length:
        return Answer(_filler(length), "end_turn", -(-length // _CHARACTERS_PER_TOKEN))
    thought = thinking_tokens(params)
    if thought >= params.max_tokens:
        return Answer("", "max_tokens", params.max_tokens, thinking=_THOUGHT, thinking_tokens=params.max_tokens)
    left = params.max_tokens - thought
    answer = _marked(mark, params, left) if mark else _answer(params, left)
    if thought:
        answer.thinking, answer.thinking_tokens = _THOUGHT, thought
        answer.output_tokens += thought
    return answer


def _answer(params: Params, most: int) -> Answer:
    """``most``: tokens that are left for it."""
    system, prompt = text_of(params.system), _last_user_text(params)
    if category := guesses.refused(prompt):
        return Answer("", "refusal", 1, category=category)
    if params.tools is not None and params.tool_choice is not None:
        tool = _forced_tool(params.tools, params.tool_choice)
        if tool is not None:
            value = _fitted(tool.get("input_schema"), params, prompt, system)
            size = of_text(msgspec.json.encode(value).decode())
            return Answer("", "tool_use", size, tool=str(tool.get("name")), tool_input=value or {})
    return _stopped(_text(params, system, prompt), params, most)


def _marked(mark: str, params: Params, most: int) -> Answer:
    match mark:
        case "refuse":
            return Answer("", "refusal", 1)
        case "empty":
            return Answer("", "end_turn", 1)
        case "pause":
            return Answer("", "pause_turn", 1)
        case "garble":
            return Answer(_GARBLED, "end_turn", of_text(_GARBLED))
        case "long":
            return Answer(_filler(most * _CHARACTERS_PER_TOKEN), "end_turn", most)
        case _:
            whole = _text(params, text_of(params.system), _last_user_text(params))
            text = whole[: len(whole) // 2]
            return Answer(text, "max_tokens", max(1, of_text(text)))


def text_of(content: str | list[Block]) -> str:
    """All the text of a content."""
    return content if isinstance(content, str) else "\n".join(block.text for block in content if block.text)


def _last_user_text(params: Params) -> str:
    return next((text_of(turn.content) for turn in reversed(params.messages) if turn.role == "user"), "")


@lru_cache(maxsize=4)
def _filler(length: int) -> str:
    return (_FILLER * (length // len(_FILLER) + 1))[:length]


def _stopped(text: str, params: Params, most: int) -> Answer:
    for sequence in params.stop_sequences or ():
        if sequence and sequence in text:
            text = text.partition(sequence)[0]
            return Answer(text, "stop_sequence", max(1, of_text(text)), stop_sequence=sequence)
    if of_text(text) > most:
        return Answer(text[: most * _CHARACTERS_PER_TOKEN], "max_tokens", most)
    return Answer(text, "end_turn", max(1, of_text(text)))


def _forced_tool(tools: Raw, choice: Raw) -> dict[str, Json] | None:
    wanted, given = generic(choice), generic(tools)
    if not isinstance(wanted, dict) or wanted.get("type") not in ("any", "tool") or not isinstance(given, list):
        return None
    known = [tool for tool in given if isinstance(tool, dict) and tool.get("name")]
    return next((tool for tool in known if wanted["type"] == "any" or tool["name"] == wanted.get("name")), None)


def _text(params: Params, system: str, prompt: str) -> str:
    form = answer_format(params)
    if form is not None:
        return msgspec.json.encode(_fitted(form.get("schema"), params, prompt, system)).decode()
    document = _document(params)
    instruction, subject = (prompt, document) if document else _split(prompt)
    asked = f"{system}\n{instruction}"
    labels = _labels(asked)
    said = guesses.choice(list(labels), subject) if labels else _written(asked, prompt, subject)
    if "JSON" in asked and _JSON.search(asked):
        return msgspec.json.encode({"label" if labels else "answer": said}).decode()
    return str(said)


def _written(asked: str, prompt: str, subject: str) -> str:
    """A translation, a description or a summary."""
    language = phrases.target(asked) if "ranslat" in asked else None
    if language:
        return phrases.translated(subject, language)
    return guesses.described(prompt) if "escri" in asked else guesses.echo(subject)


def _fitted(schema: Json, params: Params, prompt: str, system: str) -> Json:
    """Only the system prompt can explain the options: it is the same for every row, so it is read once."""
    document = _document(params)
    return fitting.fit(schema, document or _split(prompt)[1], system, document=bool(document))


def _document(params: Params) -> str:
    """What the first document of the conversation says that has any text."""
    blocks = (block for turn in params.messages if isinstance(turn.content, list) for block in turn.content)
    return next((block.document for block in blocks if block.document.strip()), "")


def _split(prompt: str) -> tuple[str, str]:
    """The part of a prompt that says what to do, and the text it is to be done with."""
    tagged = _TAGGED.search(prompt) if "<" in prompt else None
    if tagged:
        return prompt[: tagged.start()] + prompt[tagged.end() :], tagged[2]
    headed = _HEADED.search(prompt, 1)
    if headed:
        # Several of them are the fields of one thing; one is the label of a text.
        several = _HEADED.search(prompt, headed.end())
        return prompt[: headed.start()], prompt[headed.start() if several else headed.end() :]
    for separator in ("\n", ": "):
        first, found, rest = prompt.partition(separator)
        if found and rest.strip() and (_CHOOSES.search(first) or _WRITES.search(first)):
            return first, rest
    return (prompt, _LIST.sub("", prompt)) if _CHOOSES.search(prompt) else ("", prompt)


@lru_cache(maxsize=1024)
def _labels(instruction: str) -> tuple[str, ...]:
    """The labels an instruction offers ("as positive, negative or neutral"); empty if it asks for none."""
    if not _CHOOSES.search(instruction):
        return ()
    longest = max(_LIST.finditer(instruction), key=lambda match: match[0].count(","), default=None)
    return (*re.split(r", ?", longest[1]), longest[2]) if longest else ()
