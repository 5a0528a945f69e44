"""MiniStack 1.5.33 with nine fixes. Runs under MiniStack's own interpreter and imports nothing of this project.

1. MiniStack translates SAM templates only if aws-sam-translator is installed in its environment. But functions run under the same
   interpreter and would find that package's dependencies, some of which they must bring in their layer. So the translator is lent
   from the checkout's .venv to this process alone, package by package.
2. CRC-64/NVME and CRC-32C are computed byte by byte in Python, at 8 MB/s for every upload that names one; awscrt uses C.
3. A read that names a version ignores `Range` and returns the whole object, so reading a large file in pieces becomes quadratic.
4. Every new worker unpacks the layers again: 7,000 files, several seconds. Here the workers share one read-only copy, as /opt is
   on Lambda.
5. With TLS, MiniStack also takes port 443 if it can, which another checkout or the user may need.
6. Events of S3 reach EventBridge without the version of their object.
7. For a role at work, the condition key aws:PrincipalArn holds the ARN of its session; on AWS, that of the role (IAM user guide,
   "AWS global condition context keys").
8. CloudFormation does not know AWS::SecretsManager::ResourcePolicy.
9. A `MaximumConcurrency` that is a parameter stays text, and the queue is never read. CloudFormation makes a number of it.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from contextvars import ContextVar
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

_LENT = frozenset(
    {
        "_awscrt", "annotated_types", "attr", "attrs", "awscrt", "boto3", "jsonschema", "jsonschema_specifications", "pydantic",
        "pydantic_core", "referencing", "rpds", "s3transfer", "samtranslator", "typing_extensions", "typing_inspection",
    }
)  # fmt: skip


class _Lender:
    """Finds the lent packages, and only those, in another environment."""

    def __init__(self, site_packages: str) -> None:
        self._places = [site_packages]

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:  # noqa: ANN401 - protocol
        return PathFinder.find_spec(name, self._places, target) if path is None and name in _LENT else None


def _answer_ranges_of_versions(s3: Any) -> None:  # noqa: ANN401 - another package's module
    whole, parse_range = s3._get_object, s3._parse_range  # noqa: SLF001 - they have no public names

    def ranged(
        bucket: str, key: str, headers: dict[str, str], query: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        status, answer, body = whole(bucket, key, headers, query)
        wanted = headers.get("range", "")
        if status != 200 or not wanted or not query or "versionId" not in query:
            return status, answer, body
        span = parse_range(wanted, len(body))
        if span is None:
            return 416, {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}, b""
        start, end = span
        kept = {name: value for name, value in answer.items() if not name.lower().startswith("x-amz-checksum")}
        part = {"Content-Length": str(end + 1 - start), "Content-Range": f"bytes {start}-{end}/{len(body)}"}
        return 206, {**kept, **part}, body[start : end + 1]

    s3._get_object = ranged  # noqa: SLF001 - it has no public name


def _compute_checksums_in_c(s3: Any) -> None:  # noqa: ANN401 - another package's module
    checksums = importlib.import_module("awscrt.checksums")
    s3._crc64nvme = checksums.crc64nvme  # noqa: SLF001 - it has no public name
    s3._crc32c = checksums.crc32c  # noqa: SLF001 - it has no public name


def _name_versions_in_events(s3: Any, eventbridge: Any) -> None:  # noqa: ANN401 - another package's modules
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event  # noqa: SLF001 - they have no public names
    version: ContextVar[str | None] = ContextVar("version", default=None)

    def fired(*arguments: Any, **more: Any) -> None:  # noqa: ANN401 - another package's function
        token = version.set(more.get("version_id"))
        try:
            fire(*arguments, **more)
        finally:
            version.reset(token)

    def dispatched(event: dict[str, Any], *more: Any) -> None:  # noqa: ANN401 - another package's function
        if event["Source"] == "aws.s3" and (named := version.get()):
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = named
            event = {**event, "Detail": json.dumps(detail)}
        dispatch(event, *more)

    s3._fire_s3_event, eventbridge._dispatch_event = fired, dispatched  # noqa: SLF001 - they have no public names


def _name_roles_in_conditions(evaluator: Any, iam: Any) -> None:  # noqa: ANN401 - another package's modules
    resolve = evaluator._resolve_condition_key  # noqa: SLF001 - it has no public name

    def resolved(key: str, context: Any) -> Any:  # noqa: ANN401 - another package's function
        if key.lower() == "aws:principalarn" and ":assumed-role/" in context.principal_arn:
            name = context.principal_arn.split(":assumed-role/")[1].split("/")[0]
            role = iam._roles.get_scoped(context.principal_account, None, name)  # noqa: SLF001 - it has no public name
            return role["Arn"] if role else context.principal_arn
        return resolve(key, context)

    evaluator._resolve_condition_key = resolved  # noqa: SLF001 - it has no public name


def _provision_policies_of_secrets(provisioners: Any, secrets: Any) -> None:  # noqa: ANN401 - another package's modules
    def put(properties: dict[str, Any]) -> tuple[str, dict[str, str]]:
        secret = properties["SecretId"]
        policy = json.dumps(properties["ResourcePolicy"])
        secrets._put_resource_policy({"SecretId": secret, "ResourcePolicy": policy})  # noqa: SLF001 - it has no public name
        return secret, {"Id": secret}

    def delete(physical_id: str, _: dict[str, Any]) -> None:
        secrets._delete_resource_policy({"SecretId": physical_id})  # noqa: SLF001 - it has no public name

    handlers = provisioners._RESOURCE_HANDLERS  # noqa: SLF001 - it has no public name
    handlers["AWS::SecretsManager::ResourcePolicy"] = {
        "create": lambda logical_id, properties, stack: put(properties),  # noqa: ARG005 - called with all three
        "update": lambda physical_id, before, properties, stack: put(properties),  # noqa: ARG005 - called with all four
        "delete": delete,
    }


def _count_with_numbers(lambdas: Any) -> None:  # noqa: ANN401 - another package's module
    limit = lambdas._sqs_esm_concurrency  # noqa: SLF001 - it has no public name

    def counted(mapping: dict[str, Any], *others: Any) -> int:  # noqa: ANN401 - passed on
        scaling = {name: int(number) for name, number in (mapping.get("ScalingConfig") or {}).items()}
        return int(limit({**mapping, "ScalingConfig": scaling}, *others))

    lambdas._sqs_esm_concurrency = counted  # noqa: SLF001


class _SharedZip:
    """As much of `zipfile.ZipFile` as a worker's start uses; the unpacked files are the same for all workers."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def namelist(self) -> list[str]:
        """Nothing to check: our own archives, unpacked by `extractall` of the standard library, which keeps them inside."""
        return []

    def extractall(self, folder: str) -> None:
        shared = Path(tempfile.gettempdir(), "unpacked", hashlib.sha256(Path(self._path).read_bytes()).hexdigest())
        if not shared.exists():
            shared.parent.mkdir(exist_ok=True)
            started = tempfile.mkdtemp(dir=shared.parent)
            with zipfile.ZipFile(self._path) as archive:
                archive.extractall(started)
            _rename_unless_there(started, shared)
        Path(folder).rmdir()
        Path(folder).symlink_to(shared)


def _rename_unless_there(started: str, shared: Path) -> None:
    try:
        os.rename(started, shared)
    except OSError:  # another worker was first
        if not shared.exists():
            raise


def main(site_packages: str) -> None:
    sys.meta_path.append(_Lender(site_packages))
    app: Any = importlib.import_module("ministack.app")
    s3 = importlib.import_module("ministack.services.s3")
    _answer_ranges_of_versions(s3)
    _compute_checksums_in_c(s3)
    _name_versions_in_events(s3, importlib.import_module("ministack.services.eventbridge"))
    _name_roles_in_conditions(
        importlib.import_module("ministack.core.iam_evaluator"), importlib.import_module("ministack.services.iam")
    )
    _provision_policies_of_secrets(
        importlib.import_module("ministack.services.cloudformation.provisioners"),
        importlib.import_module("ministack.services.secretsmanager"),
    )
    _count_with_numbers(importlib.import_module("ministack.services.lambda_svc"))
    runtime: Any = importlib.import_module("ministack.core.lambda_runtime")
    runtime.zipfile = SimpleNamespace(ZipFile=_SharedZip, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile)
    app._port_is_bindable = lambda *_: False  # noqa: SLF001 - it has no public name
    sys.argv = sys.argv[:1]
    app.main()


if __name__ == "__main__":
    main(sys.argv[1])
