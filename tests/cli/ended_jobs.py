"""Jobs that have ended with rows without an answer, as the stages leave them: for the tests of `batchdrop retry`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from batchdrop.domain import keys
from tests.fakes.claude import Withheld, greet
from tests.stack import Stack, row

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXPIRED: Mapping[str, object] = {"type": "expired"}
OVERLOADED: Mapping[str, object] = {
    "type": "errored",
    "error": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
}
BAD: Mapping[str, object] = {
    "type": "errored",
    "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "Too long"}},
}
RECIPE = b"""\
model: claude-haiku-4-5
prompt: |
  Classify as positive, negative or neutral.
  Review: {{ text }}
output:
  label: [positive, negative, neutral]
"""


def ended(
    key: str, body: bytes, ends: Mapping[int, Mapping[str, object] | Withheld], metadata: dict[str, str] | None = None
) -> Stack:
    """A job whose rows had such ends, by line; the others have answers."""
    stack = Stack(max_attempts=1)
    stack.claude.answer = lambda custom_id, params: ends.get(int(custom_id.rpartition("-")[2])) or _answer(custom_id, params)
    stack.drop(key, body, metadata)
    stack.run()
    assert stack.document("manifest.json")["state"] == "done"
    return stack


def requests_job(number: int = 6, ends: Mapping[int, Mapping[str, object] | Withheld] | None = None) -> Stack:
    """Rows 2, 4 and 5 expired, were overloaded and bad unless told otherwise."""
    body = b"\n".join(row(f"row {line}", f"prompt {line}") for line in range(1, number + 1)) + b"\n"
    return ended("inbox/marketing/reviews.jsonl", body, {2: EXPIRED, 4: OVERLOADED, 5: BAD} if ends is None else ends)


def table_job(metadata: dict[str, str] | None = None) -> Stack:
    """Of five rows, those in lines 3 and 5 of the spreadsheet have no answer."""
    stack = Stack(max_attempts=1)
    ends: Mapping[int, Mapping[str, object]] = {3: EXPIRED, 5: OVERLOADED}
    stack.claude.answer = lambda custom_id, params: ends.get(int(custom_id.rpartition("-")[2])) or _answer(custom_id, params)
    stack.drop("inbox/marketing/recipe.yaml", RECIPE)
    texts = ["What a great lamp", "=1+1 Bad. It broke", "It is a lamp", "I love it, a great bed", "It is a bed"]
    table = "id;text\n" + "".join(f"{number};{json.dumps(text)}\n" for number, text in enumerate(texts, 1))
    stack.drop("inbox/marketing/reviews.csv", table.encode(), metadata)
    stack.run()
    return stack


def folder_of(stack: Stack) -> str:
    job = stack.job()
    return keys.outbox_folder(job.input.key, job.id)


def copied(stack: Stack, put: Callable[[str, bytes], object]) -> str:
    """Puts what the job has left into a bucket; returns its folder."""
    for key in stack.objects.keys(""):
        put(key, stack.objects.body(key))
    return folder_of(stack)


def in_s3(stack: Stack, client: S3Client, bucket: str) -> str:
    return copied(stack, lambda key, body: client.put_object(Bucket=bucket, Key=key, Body=body))


def _answer(custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
    answer = greet(custom_id, params)
    if "output_config" in params:
        answer["message"]["content"] = [{"type": "text", "text": '{"label": "positive"}'}]  # type: ignore[index]
    return answer
