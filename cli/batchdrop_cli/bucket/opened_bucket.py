"""The bucket of a stack, by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ParamValidationError

from batchdrop.adapters.aws import code_of, status_of
from batchdrop.adapters.s3 import S3Objects
from batchdrop.domain.errors import Forbidden, ObjectGone, Throttled
from batchdrop_cli.exit_codes import FAILED, USAGE
from batchdrop_cli.terminal import plain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_BUCKET = "Which bucket? Name it with --bucket, or in BATCHDROP_BUCKET."


class Denied(Exception):
    """AWS does not let the caller do this. The message says what."""


class CannotUse(Exception):
    """A sentence on why the bucket cannot be used, and how the command ends."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class Bucket(NamedTuple):
    name: str
    client: S3Client
    objects: S3Objects


def open_bucket(name: str | None) -> Bucket:
    """Raises CannotUse."""
    found = (name or os.environ.get("BATCHDROP_BUCKET", "")).strip().removeprefix("s3://").rstrip("/")
    if not found:
        raise CannotUse(NO_BUCKET, USAGE)
    with aws_said(found):
        client = boto3.client("s3")
    return Bucket(found, client, S3Objects(client, found))


@contextmanager
def aws_said(bucket: str) -> Iterator[None]:
    """What AWS has against a call, as a sentence. Raises CannotUse."""
    name = plain(bucket)
    try:
        yield
    except NoCredentialsError:
        raise CannotUse("There are no AWS credentials. Sign in (aws sso login), or set AWS_PROFILE.") from None
    except NoRegionError:
        raise CannotUse("There is no AWS region. Set AWS_DEFAULT_REGION, or a region in your AWS profile.") from None
    except ParamValidationError:
        raise CannotUse(f"{name} is no name of a bucket. Look at --bucket and BATCHDROP_BUCKET.", USAGE) from None
    except (ClientError, Forbidden) as error:
        raise CannotUse(_refused(name, error)) from None
    except ObjectGone as gone:
        raise CannotUse(f"{plain(str(gone))} is not in the bucket {name} any more.") from None
    except (BotoCoreError, Throttled) as error:
        raise CannotUse(f"The bucket {name} cannot be reached: {plain(str(error))}") from None


def is_denied(error: ClientError) -> bool:
    return status_of(error) == 403


def _refused(bucket: str, error: ClientError | Forbidden) -> str:
    if isinstance(error, Forbidden):
        return f"S3 does not hand out {plain(str(error))} of the bucket {bucket} ({error.code}). Look at your rights there."
    if code_of(error) == "NoSuchBucket":
        return f"There is no bucket {bucket}. Look at --bucket, BATCHDROP_BUCKET and AWS_PROFILE."
    said = plain(error.response.get("Error", {}).get("Message", str(error)))
    return f"AWS did not carry out {error.operation_name} in the bucket {bucket}: {said}"
