"""The headers of a create call: the API version and the beta features. They hold for every request of the batch.

A file asks for them in its object's metadata, and only those that the operator allows are ever sent (decision 36). Sources:
Anthropic, "Versions", "Beta headers", and the migration guide of API version 2026-10-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from batchdrop.domain.record import Record
from batchdrop.domain.records import DEFAULT_API_VERSION, Job

VERSION = "anthropic-version"
"""The header, and the user metadata of an object that asks for it."""
BETA = "anthropic-beta"
"""The same; several are separated by commas."""
SAMPLING = frozenset({"temperature", "top_p", "top_k"})
SAMPLING_GONE_IN = "2026-10-21"
LONG_OUTPUT = "output-300k-2026-03-24"
"""The beta of answers beyond what a model writes otherwise, in batches only (Anthropic, "Batch processing")."""


class CallHeaders(Record, frozen=True, kw_only=True):
    api_version: str = DEFAULT_API_VERSION
    betas: tuple[str, ...] = ()

    def as_sent(self) -> dict[str, str]:
        """By name: as headers of a call, and as the metadata of an object that asks for the same."""
        betas = {BETA: ",".join(self.betas)} if self.betas else {}
        return {VERSION: self.api_version, **betas}


class NotAllowed(NamedTuple):
    """One value that a file asks for and this stack does not send."""

    name: str
    value: str
    allowed: tuple[str, ...]


class AllowedHeaders(Record, frozen=True, kw_only=True):
    """What the operator allows. The first API version is that of files that ask for none."""

    api_versions: tuple[str, ...] = (DEFAULT_API_VERSION,)
    betas: tuple[str, ...] = ()

    @classmethod
    def of(cls, api_versions: str, betas: str) -> AllowedHeaders:
        """From lists separated by commas, as the stack's parameters hold them."""
        return cls(api_versions=_listed(api_versions) or (DEFAULT_API_VERSION,), betas=_listed(betas))

    def asked(self, metadata: Mapping[str, str]) -> CallHeaders:
        """What the metadata of an object (names in lower case) asks for, allowed or not."""
        return CallHeaders(
            api_version=metadata.get(VERSION, "").strip() or self.api_versions[0], betas=_listed(metadata.get(BETA, ""))
        )

    def refused(self, headers: CallHeaders) -> NotAllowed | None:
        """The first value that is not allowed."""
        if headers.api_version not in self.api_versions:
            return NotAllowed(VERSION, headers.api_version, self.api_versions)
        beta = next((beta for beta in headers.betas if beta not in self.betas), None)
        return None if beta is None else NotAllowed(BETA, beta, self.betas)


def headers_of(job: Job) -> CallHeaders:
    return CallHeaders(api_version=job.api_version, betas=job.betas)


def gone_in(api_version: str) -> frozenset[str]:
    """Parameters that are errors under this version, for every model and with every value, their defaults included."""
    return SAMPLING if api_version >= SAMPLING_GONE_IN else frozenset()


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
