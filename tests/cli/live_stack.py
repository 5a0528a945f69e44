"""A whole stack behind a bucket that moto plays: what a command uploads becomes a job, as time passes while the command waits."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain.messages import Dropped, Upload
from tests.cli.own_bucket import own_bucket
from tests.fakes.claude import greet
from tests.fakes.ledger import FakeLedger
from tests.fakes.objects import FakeObjects
from tests.stack import BUCKET
from tests.stack import Stack as Pipeline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EXPIRED: Mapping[str, object] = {"type": "expired"}


class LiveStack:
    def __init__(self, client: S3Client, **settings: Any) -> None:
        self.client = client
        objects = S3Objects(client, BUCKET)
        self.pipeline = Pipeline(
            parts=lambda clock, hooks: (cast("FakeObjects", objects), FakeLedger(hooks)), max_attempts=1, **settings
        )
        self.pipeline.claude.answer = self._answer
        self.expired: set[str] = set()
        """Of rows with one of these texts nothing comes back."""
        self.meanwhile: Callable[[], object] = lambda: None
        """What else happens while a command sleeps."""
        self._heard: set[str] = set()

    def pass_time(self, _: float = 0.0) -> None:
        self.meanwhile()
        self.deliver()
        self.pipeline.step()

    def keys(self, prefix: str = "") -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]

    def body(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def deliver(self) -> None:
        """What S3 tells the stack of."""
        found = self.client.list_object_versions(Bucket=BUCKET).get("Versions", [])
        for one in sorted(found, key=lambda one: one["LastModified"]):
            if one["VersionId"] in self._heard:
                continue
            self._heard.add(one["VersionId"])
            key, version, now = one["Key"], one["VersionId"], self.pipeline.clock.now()
            if key.startswith("inbox/"):
                self.pipeline.deliver(Upload(key=key, version_id=version, etag=one["ETag"].strip('"'), size=one["Size"], at=now))
            elif key.startswith("control/"):
                self.pipeline._hear(Dropped(key=key, version_id=version, at=now, source_ip="192.0.2.1"))

    def _answer(self, custom_id: str, params: dict[str, Any]) -> Mapping[str, object]:
        prompt = params["messages"][0]["content"]
        text = prompt if isinstance(prompt, str) else str(prompt)
        if any(one in text for one in self.expired):
            return EXPIRED
        answer: Any = greet(custom_id, params)
        if "output_config" in params:
            asked = str(params["output_config"])
            given = {"label": "positive", "explanation": "It says so."} if "explanation" in asked else {"label": "positive"}
            answer["message"]["content"] = [{"type": "text", "text": json.dumps(given)}]
        return cast("Mapping[str, object]", answer)


@contextmanager
def live_stack(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[LiveStack]:
    with own_bucket(monkeypatch, BUCKET) as client:
        stack = LiveStack(client, **settings)
        monkeypatch.setattr(time, "sleep", stack.pass_time)
        yield stack
