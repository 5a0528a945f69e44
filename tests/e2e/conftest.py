"""One deployed stack for all tests here: building and deploying it takes half a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.laptop import Laptop, beside, home, running


@pytest.fixture(scope="session")
def laptop() -> Iterator[Laptop]:
    limits = ("FunctionTimeoutSeconds=60", "VisibilityTimeoutSeconds=360", "MonthlyLimitUsd=100000")
    with running(home("e2e"), *limits) as system:
        # A quarter of a million rows may go unasked there, as a pipeline's do.
        config = b'{"folders": {"large": {"ask_above_usd": 1000}}}'
        system.s3.put_object(Bucket=system.bucket, Key="config/limits.json", Body=config)
        yield system


@pytest.fixture(scope="session")
def second(laptop: Laptop) -> Laptop:
    """Another stack beside it, with little patience."""
    return beside(
        laptop,
        "batchdrop-second",
        "FunctionTimeoutSeconds=15",
        "VisibilityTimeoutSeconds=40",
        "ReconcileGraceSeconds=5",
    )


@pytest.fixture(autouse=True)
def _no_faults_left(laptop: Laptop) -> Iterator[None]:
    yield
    laptop.claude.clear_faults()
    laptop.claude.settings(cache_hits=None)
    laptop.switch("run")
