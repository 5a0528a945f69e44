"""A workflow that listens hears of the jobs that it has started, as `docs/events.md` says."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.e2e.laptop import ROOT, Laptop
from tests.event_schema import check_event

_PAGE = (ROOT / "docs" / "events.md").read_text()
_ROW = b'{"params": {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}}\n'


def _pattern() -> str:
    """That of the page's rule."""
    found = re.search(r"--event-pattern '([^']+)'", _PAGE)
    assert found
    return found[1]


def test_a_rule_sends_a_queue_the_ends_of_the_jobs_with_its_reference(laptop: Laptop) -> None:
    queue = laptop.sqs.create_queue(QueueName="workflow")["QueueUrl"]
    arn = laptop.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events = laptop.client("events")
    events.put_rule(Name="ends-of-run-7", EventPattern=_pattern())
    events.put_targets(Rule="ends-of-run-7", Targets=[{"Id": "queue", "Arn": arn}])

    def drop(name: str, body: bytes, **metadata: str) -> str:
        key = f"inbox/marketing/{name}.jsonl"
        made = laptop.s3.put_object(Bucket=laptop.bucket, Key=key, Body=body, Metadata=metadata)
        return laptop.job_of(key, made["VersionId"]).wait().id

    done = drop("done", _ROW, **{"batchdrop-reference": "run-7"})
    drop("of-another", _ROW, **{"batchdrop-reference": "run-8"})
    drop("of-nobody", _ROW)
    rejected = drop("rejected", b"\n", **{"batchdrop-reference": "run-7"})
    heard: dict[str, Any] = {}

    def all_heard() -> bool:
        for message in laptop.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            assert (event["source"], event["detail-type"]) == ("batchdrop", "Batchdrop Job State Change")
            check_event(event["detail"])
            heard[event["detail"]["job_id"]] = event["detail"]
        return {done, rejected} <= set(heard)

    with laptop.ticking():
        laptop.wait(all_heard, "both events")
    assert {job: detail["state"] for job, detail in heard.items()} == {done: "done", rejected: "rejected"}
    assert heard[done]["input"]["key"] == "inbox/marketing/done.jsonl"
    assert {detail["reference"] for detail in heard.values()} == {"run-7"}
