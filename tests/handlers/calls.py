"""What a function asks of AWS, call by call, in the words of IAM."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import boto3
from botocore.exceptions import EndpointConnectionError

from tests.handlers.conftest import Cloud, Context
from tests.template.facts import Resources, chosen, named, of_type

_BUCKET = "arn:${AWS::Partition}:s3:::{Bucket}/"
_PARAMETER = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter"
_BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/"

# What an operation needs on the object it names: Amazon S3 user guide, "Required permissions for Amazon S3 API operations";
# a read that names a version needs s3:GetObjectVersion besides, and so does a copy from one.
_ON_OBJECT = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "ListParts": "s3:ListMultipartUploadParts",
}
# The same page: these name the bucket; for the first two, the policy's condition names the prefix.
_ON_BUCKET = {
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
# Service Authorization Reference: an operation of these services is an action of the same name on one resource, which this
# parameter names. Amazon SQS, Amazon SNS, Amazon EventBridge, AWS Systems Manager, AWS Secrets Manager.
_ON_NAMED = {
    "SendMessage": ("sqs:SendMessage", "QueueUrl"),
    "ChangeMessageVisibility": ("sqs:ChangeMessageVisibility", "QueueUrl"),
    "Publish": ("sns:Publish", "TopicArn"),
    "PutEvents": ("events:PutEvents", "EventBusName"),
    "GetParameter": ("ssm:GetParameter", "Name"),
    "GetSecretValue": ("secretsmanager:GetSecretValue", "SecretId"),
}
_PREFIXES = {"ssm:GetParameter": _PARAMETER, "events:PutEvents": _BUS}
# Amazon DynamoDB developer guide, "Using IAM policies with DynamoDB transactions": a transaction needs what its entries need.
_IN_TRANSACTION = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


class Use(NamedTuple):
    stage: str
    action: str
    resource: str
    """As `facts.named` writes it."""


class Recorder:
    """Notes every call of the stage at work; makes calls fail and answers break off on demand."""

    def __init__(self, resources: Resources) -> None:
        functions = of_type(resources, "AWS::Lambda::Function")
        self._variables = {
            name.removesuffix("Function").lower(): chosen(found["Environment"]["Variables"]) for name, found in functions.items()
        }
        self.uses: Counter[Use] = Counter()
        self.asked: set[tuple[str, str]] = set()
        """Stages, and the routes of Claude that they called."""
        self.stage: str | None = None
        self.without_owner: set[str] = set()
        """Calls of S3 that do not say whose the bucket is."""
        self._failing: tuple[str, int] | None = None
        self._meanwhile: tuple[Callable[[], bool], Callable[[], None]] | None = None
        self.break_reads = False
        """Every body of an object read without a version breaks off after some bytes."""

    def fail(self, operation: str, after: int = 0) -> None:
        """The next call of this operation, but for the first `after`, never reaches AWS."""
        self._failing = (operation, after)

    def meanwhile(self, when: Callable[[], bool], act: Callable[[], None]) -> None:
        """`act` happens right before the first call at which `when` holds."""
        self._meanwhile = (when, act)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Clients made in here are recorded."""
        boto3.setup_default_session()
        events = boto3.DEFAULT_SESSION.events if boto3.DEFAULT_SESSION else None
        assert events is not None
        events.register("provide-client-params", self._note)
        events.register("before-call", self._meet)
        events.register("after-call.s3.GetObject", self._break)
        try:
            yield
        finally:
            boto3.setup_default_session()

    # ---------------------------------------------------------------- botocore's hooks

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if self.stage is not None:
            for action, resource in self._needs(self.stage, model.name, params):
                self.uses[Use(self.stage, action, resource)] += 1

    def _meet(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        if self.stage is not None and model.service_model.service_name == "s3":
            owners = {name for name in params["headers"] if name.lower().endswith("bucket-owner")}
            if len(owners) != 1 + ("x-amz-copy-source" in {name.lower() for name in params["headers"]}):
                self.without_owner.add(model.name)
        if self._meanwhile is not None and self._meanwhile[0]():
            act, self._meanwhile = self._meanwhile[1], None
            interrupted, self.stage = self.stage, None
            act()
            self.stage = interrupted
        if self.stage is None or self._failing is None or self._failing[0] != model.name:
            return
        operation, after = self._failing
        self._failing = (operation, after - 1) if after else None
        if not after:
            raise EndpointConnectionError(endpoint_url="http://nowhere")

    def _break(self, parsed: dict[str, Any], http_response: Any, **_: Any) -> None:
        # An index grows with every job of the tour: ten bytes at a time it would take minutes.
        if "/index.json" in http_response.url:
            return
        if self.stage is not None and self.break_reads and "versionId" not in http_response.url and "Body" in parsed:
            parsed["Body"] = _Broken(parsed["Body"])

    # ---------------------------------------------------------------- what a call needs

    def _needs(self, stage: str, operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if operation in _ON_OBJECT:
            yield from self._object(stage, _ON_OBJECT[operation], params)
            if "CopySource" in params:
                yield from self._object(stage, "s3:GetObject", params["CopySource"])
        elif operation in _ON_BUCKET:
            assert self._named(stage, params["Bucket"]) == "{Bucket}"
            listed = "inbox/" if (stage, operation) == ("plan", "ListObjectVersions") else "work/"
            assert operation == "ListMultipartUploads" or params["Prefix"].startswith(listed)
            yield _ON_BUCKET[operation], _BUCKET.removesuffix("/")
        elif operation == "DeleteObjects":
            # "You must always specify the s3:DeleteObject permission" (Amazon S3 API Reference, DeleteObjects). All are versions.
            for one in params["Delete"]["Objects"]:
                assert one["VersionId"]
                yield from ((action, _BUCKET + one["Key"]) for action in ("s3:DeleteObject", "s3:DeleteObjectVersion"))
        elif operation in _ON_NAMED:
            action, parameter = _ON_NAMED[operation]
            entries = params.get("Entries", [params])
            resources = {self._named(stage, entry[parameter]) for entry in entries}
            yield from ((action, _PREFIXES.get(action, "") + resource) for resource in resources)
        elif operation == "TransactWriteItems":
            for entry in params["TransactItems"]:
                for kind, part in entry.items():
                    yield _IN_TRANSACTION[kind], self._named(stage, part["TableName"])
        else:
            # GetItem, BatchGetItem (of one table) and Query: Service Authorization Reference, Amazon DynamoDB.
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            table = self._named(stage, next(iter(params.get("RequestItems") or (params["TableName"],))))
            yield f"dynamodb:{operation}", table + index

    def _object(self, stage: str, action: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        assert self._named(stage, params["Bucket"]) == "{Bucket}"
        yield action, _BUCKET + params["Key"]
        if "Tagging" in params:
            yield "s3:PutObjectTagging", _BUCKET + params["Key"]
        if action == "s3:GetObject" and params.get("VersionId"):
            yield "s3:GetObjectVersion", _BUCKET + params["Key"]

    def _named(self, stage: str, value: str) -> str:
        """What the template calls this, if the template tells this function of it at all."""
        for variable, intrinsic in self._variables[stage].items():
            if isinstance(intrinsic, dict) and os.environ.get(variable) == value:
                return named(intrinsic)
        raise AssertionError(f"{stage} uses {value}, which no variable of it names")


class _Broken:
    """A body whose connection is lost after the first bytes."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._spent = False

    def read(self, size: int) -> bytes:
        if self._spent:
            raise EOFError
        self._spent = True
        return bytes(self._body.read(min(size, 10)))

    def close(self) -> None:
        self._body.close()


class Watched(Cloud):
    """The handlers, with a recorder that knows which one is at work. A delivery that fails comes back at once."""

    def __init__(self, claude: Any, recorder: Recorder) -> None:
        super().__init__(claude)
        self.recorder = recorder

    def invoke(self, stage: str, event: dict[str, Any], context: Context | None = None) -> Any:
        interrupted, self.recorder.stage = self.recorder.stage, stage
        before = len(self.claude.log())
        try:
            return self._handlers[stage](event, context or Context())
        finally:
            self.recorder.stage = interrupted
            self.recorder.asked |= {(stage, call["route"]) for call in self.claude.log()[before:]}
