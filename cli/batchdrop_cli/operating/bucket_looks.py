"""What everybody can look at who has rights on a folder of the bucket. Nothing is written."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from hashlib import md5

import boto3
from botocore.exceptions import ClientError

from batchdrop.adapters.aws import code_of, status_of
from batchdrop.domain import keys
from batchdrop_cli.operating.finding import Finding, Look, Verdict, ok, problem
from batchdrop_client.plain_text import plain

# S3 looks at rights before it looks at the digest of a body: with that of another one, an object is refused either way.
_OF_SOMETHING_ELSE = b64encode(md5(b"something else", usedforsecurity=False).digest()).decode()
# If a store that is not S3 takes it all the same: no stack reads a file of that name.
_IGNORED = ".ds_store"


def account_looks() -> Iterator[tuple[str, Look]]:
    yield "credentials", _credentials
    yield "region", _region


def bucket_looks(bucket: str, folder: str) -> Iterator[tuple[str, Look]]:
    """`folder`: below inbox/ and outbox/, without slashes around it; may be empty."""
    below = f"{folder}/" if folder else ""
    yield "answers", partial(_lists, bucket, f"{keys.OUTBOX}{below}")
    yield "inbox", partial(_puts, bucket, f"{keys.INBOX}{below}")
    for command in ("approve", "cancel"):
        yield command, partial(_puts, bucket, f"{keys.CONTROL}{command}/{below}")


def _credentials() -> Finding:
    return ok(f"You are {plain(boto3.client('sts').get_caller_identity()['Arn'])}.")


def _region() -> Finding:
    region = boto3.Session().region_name
    return (
        ok(f"{plain(region)}.") if region else problem("There is none. Set AWS_DEFAULT_REGION, or a region in your AWS profile.")
    )


def _lists(bucket: str, prefix: str) -> Finding:
    try:
        boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except ClientError as error:
        return _refused(error, bucket, f"list {prefix}")
    return ok(f"{plain(prefix)} can be listed.")


def _puts(bucket: str, prefix: str) -> Finding:
    try:
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}{_IGNORED}", Body=b"", ContentMD5=_OF_SOMETHING_ELSE)
    except ClientError as error:
        if code_of(error) not in ("BadDigest", "InvalidDigest"):
            found = _refused(error, bucket, f"put anything into {prefix}")
            # Who approves may be somebody else than who drops: policies divide it so.
            return found._replace(verdict=Verdict.no) if status_of(error) == 403 else found
    return ok(f"Objects can be put into {plain(prefix)}.")


def _refused(error: ClientError, bucket: str, what: str) -> Finding:
    if code_of(error) == "NoSuchBucket":
        return problem(f"There is no bucket {plain(bucket)}. Look at --bucket, BATCHDROP_BUCKET and AWS_PROFILE.")
    if status_of(error) == 403:
        return problem(f"You may not {plain(what)}. If you should, ask an operator for the right, or name your folder.")
    raise error
