"""Every parameter of the Messages API that a batch takes goes through as it was written; the SDK's types name them."""

from __future__ import annotations

import json

import pytest
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming as BetaParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming as Params
from anthropic.types.messages.batch_create_params import Request

from batchdrop.domain.call_headers import SAMPLING
from batchdrop.formats.input_line import REQUESTS
from batchdrop.formats.invalid_line import InvalidLine
from batchdrop.formats.lines import Line
from tests.stack import Stack

_REQUIRED = {"model": '"claude-haiku-4-5"', "max_tokens": "64", "messages": '[{"role":"user","content":"h\\u0069"}]'}
# What Anthropic refuses in a batch ("Batch processing"), and what is a header.
_REFUSED = {"stream": "true", "speed": '"fast"', "store": "true", "betas": '["output-300k-2026-03-24"]'}
_OF_THE_SDK = frozenset(Params.__annotations__) | frozenset(BetaParams.__annotations__)
_TAKEN = sorted(_OF_THE_SDK - _REFUSED.keys() | SAMPLING | {"not_known_yet"})
# As no encoder writes it: what is decoded and written anew is another text.
_ODD = '{ "b":[1.0e0 ,-0, "\\u00fc\\/\\ud83d\\ude00é"],"a" : null,"c":123456789012345678901234567890}'


def params(**fields: str) -> str:
    return "{ " + " ,".join(f'"{name}" :{value}' for name, value in (_REQUIRED | fields).items()) + "}"


def line(text: str) -> bytes:
    return f'{{"params":{text} ,"custom_id":"a"}}'.encode()


def test_a_request_is_an_id_and_params() -> None:
    """Nothing beside them is left out when a request is made of a line."""
    assert Request.__annotations__.keys() == {"custom_id", "params"}
    assert {"model", "max_tokens", "messages", "thinking", "output_config"} <= set(_TAKEN)


@pytest.mark.parametrize("name", _TAKEN)
def test_a_parameter_is_sent_byte_for_byte(name: str) -> None:
    text = params(**{} if name in _REQUIRED else {name: _ODD})
    stack = Stack()
    stack.drop("inbox/a.jsonl", line(text), {"anthropic-version": "2023-06-01"})
    stack.run()
    (body,) = stack.claude.bodies
    assert text.encode() in body
    assert len(json.loads(body)["requests"]) == 1
    assert stack.job().counts.succeeded == 1


def test_all_of_them_at_once_and_in_a_later_attempt() -> None:
    text = params(**{name: _ODD for name in _TAKEN if name not in _REQUIRED}, stream="false", speed="null")
    stack = Stack()
    stack.claude.answer = lambda custom_id, _: {"type": "expired"}
    stack.drop("inbox/a.jsonl", line(text), {"anthropic-version": "2023-06-01"})
    stack.run()
    assert [text.encode() in body for body in stack.claude.bodies] == [True] * 3


@pytest.mark.parametrize("name", _REFUSED)
def test_what_a_batch_refuses_is_named(name: str) -> None:
    data = line(params(**{name: _REFUSED[name]}))
    invalid = REQUESTS.check(Line(1, 0, len(data), data, cut=False))
    assert isinstance(invalid, InvalidLine)
    assert (invalid.type, f"params.{name}" in invalid.message) == ("unsupported_parameter", True)
    assert ("anthropic-beta" in invalid.message) == (name == "betas")
