"""What one look at a stack has found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound

from batchdrop.adapters.aws import status_of
from batchdrop.domain.errors import Throttled
from batchdrop_client.errors import StackError
from batchdrop_client.plain_text import plain


class Verdict(StrEnum):
    ok = "ok"
    no = "no"
    """Whoever looked may not do it, which may be as it should be."""
    problem = "problem"
    unknown = "unknown"
    """Whoever looked may not see it."""


class Finding(NamedTuple):
    verdict: Verdict
    said: str
    """With a problem also what to do."""


type Look = Callable[[], Finding]


def ok(said: str) -> Finding:
    return Finding(Verdict.ok, said)


def no(said: str) -> Finding:
    return Finding(Verdict.no, said)


def unknown(said: str) -> Finding:
    return Finding(Verdict.unknown, said)


def problem(said: str) -> Finding:
    return Finding(Verdict.problem, said)


def found(looks: Iterable[tuple[str, Look]]) -> Iterator[tuple[str, Finding]]:
    """By what was looked at. One that fails keeps no other from being made."""
    for name, look in looks:
        yield name, _found(look)


def _found(look: Look) -> Finding:
    try:
        return look()
    except ClientError as error:
        return _refused(error)
    except StackError as error:
        return problem(str(error))
    except (BotoCoreError, Throttled) as error:
        return problem(_not_called(error))


def _refused(error: ClientError) -> Finding:
    code = error.response.get("Error", {}).get("Code", "")
    if status_of(error) == 403 or code.startswith("AccessDenied"):
        return unknown(f"Your AWS rights do not allow {error.operation_name}.")
    said = plain(error.response.get("Error", {}).get("Message", str(error)))
    return problem(f"AWS did not carry out {error.operation_name}: {said}")


def _not_called(error: Exception) -> str:
    match error:
        case NoCredentialsError():
            return "There are no AWS credentials. Sign in (aws sso login), or set AWS_PROFILE."
        case NoRegionError():
            return "There is no AWS region. Set AWS_DEFAULT_REGION, or a region in your AWS profile."
        case ProfileNotFound():
            return f"{plain(str(error))}. Look at AWS_PROFILE."
    return f"AWS cannot be reached: {plain(str(error))}"
