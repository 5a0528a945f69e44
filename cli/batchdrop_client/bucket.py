"""The bucket of a stack, with the AWS rights of whoever runs the program: nothing else of a stack is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ProfileNotFound,
)

from batchdrop.adapters.aws import NO_ANSWER, code_of, is_passing, status_of
from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain.errors import Forbidden, Incomplete, ObjectGone, Throttled
from batchdrop_client.errors import VARIABLE, NoBucket, NotNamed, StackError, Unreachable
from batchdrop_client.plain_text import plain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Bucket(NamedTuple):
    name: str
    client: S3Client
    objects: S3Objects


def open_bucket(name: str | None) -> Bucket:
    """Of that name, or of the one in BATCHDROP_BUCKET. Raises StackError."""
    found = (name or os.environ.get(VARIABLE, "")).strip().removeprefix("s3://").rstrip("/")
    if not found:
        raise NoBucket
    with aws_said(found):
        client = boto3.client("s3")
    return Bucket(found, client, S3Objects(client, found))


@contextmanager
def signed_in() -> Iterator[None]:
    """What is missing of the rights of whoever runs the program, before AWS is asked. Raises StackError."""
    try:
        yield
    except NoCredentialsError:
        raise StackError("There are no AWS credentials. Sign in (aws sso login), or set AWS_PROFILE.") from None
    except NoRegionError:
        raise StackError("There is no AWS region. Set AWS_DEFAULT_REGION, or a region in your AWS profile.") from None
    except ProfileNotFound as error:
        raise StackError(f"{plain(str(error))}. Look at AWS_PROFILE.") from None


@contextmanager
def aws_said(bucket: str) -> Iterator[None]:
    """What AWS has against a call, as a sentence. Raises StackError."""
    name = plain(bucket)
    try:
        with signed_in():
            yield
    except ParamValidationError:
        raise NotNamed(f"{name} is no name of a bucket. Those have 3 to 63 small letters, digits, dots, hyphens.") from None
    except (ClientError, Forbidden) as error:
        raise _refused(name, error) from None
    except ObjectGone as gone:
        raise NotNamed(f"Not in the bucket {name}, not yet or not any more: {plain(str(gone))}.") from None
    except (*NO_ANSWER, Throttled, Incomplete) as error:
        raise Unreachable(f"The bucket {name} cannot be reached: {plain(str(error))}") from None
    except BotoCoreError as error:
        raise StackError(f"The bucket {name} cannot be used: {plain(str(error))}") from None


def is_denied(error: ClientError) -> bool:
    return status_of(error) == 403


def _refused(bucket: str, error: ClientError | Forbidden) -> StackError:
    if isinstance(error, Forbidden):
        return StackError(
            f"S3 does not hand out {plain(str(error))} of the bucket {bucket} ({error.code}). Look at your rights there."
        )
    if code_of(error) == "NoSuchBucket":
        return StackError(f"There is no bucket {bucket}. Look at its name, {VARIABLE} and AWS_PROFILE.")
    said = plain(error.response.get("Error", {}).get("Message", str(error)))
    kind = Unreachable if is_passing(error) else StackError
    return kind(f"AWS did not carry out {error.operation_name} in the bucket {bucket}: {said}")
