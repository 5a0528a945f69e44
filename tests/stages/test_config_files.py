"""What operators write below config/: seen within a minute, used whole or not at all, and never taken for missing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchdrop.domain import keys
from batchdrop.jobs import config_files
from batchdrop.money.limit_file import LimitList
from batchdrop.money.price_file import built_in
from tests.fakes.clock import ManualClock
from tests.fakes.objects import FakeObjects

ENTRY = b'[{"model": "m", "input": 1, "output": 1, "write_5m": 1, "write_1h": 1, "read": 1}]'
MINUTE = timedelta(seconds=60)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def objects(clock: ManualClock) -> FakeObjects:
    return FakeObjects(clock)


def test_without_a_file_the_built_in_prices_hold(objects: FakeObjects, clock: ManualClock) -> None:
    assert config_files.prices(objects).current(clock.now()) == (built_in(), "")
    assert config_files.limits(objects).current(clock.now()) == (LimitList(), "")


def test_a_file_is_seen_within_a_minute_and_so_is_its_end(objects: FakeObjects, clock: ManualClock) -> None:
    prices = config_files.prices(objects)
    prices.current(clock.now())
    version = objects.drop(keys.PRICES, ENTRY).version_id
    clock.advance(59)
    assert prices.current(clock.now()).value is built_in()
    clock.advance(1)
    listed, fault = prices.current(clock.now())
    assert (listed.name("m"), listed.version, fault) == ("m", f"config/prices.json {version}", "")
    objects.delete(keys.PRICES)
    clock.advance(60)
    assert prices.current(clock.now()).value is built_in()


def test_an_object_is_read_once_for_each_version(objects: FakeObjects, clock: ManualClock) -> None:
    objects.drop(keys.LIMITS, b'{"folders": {"a": {"day_usd": 1}}}')
    limits = config_files.limits(objects)
    for _ in range(5):
        assert limits.current(clock.now()).value.folders
        assert limits.current(clock.now()).value.folders
        clock.advance(60)
    assert objects.hooks.calls.count("objects.read") == 1
    assert objects.hooks.calls.count("objects.head") == 5


@pytest.mark.parametrize("versioned", [True, False])
def test_a_faulty_file_is_not_used_at_all(clock: ManualClock, versioned: bool, caplog: pytest.LogCaptureFixture) -> None:
    objects = FakeObjects(clock, versioned=versioned)
    objects.drop(keys.PRICES, ENTRY)
    prices = config_files.prices(objects)
    assert prices.current(clock.now()).value.name("m")
    objects.drop(keys.PRICES, ENTRY[:-1] + b',\n{"model": "n"}]')
    clock.advance(60)
    listed, fault = prices.current(clock.now())
    assert listed is built_in()
    assert fault == "config/prices.json is faulty on line 2. The logs of the stack name the field and what to write instead."
    clock.advance(60)
    assert prices.current(clock.now()).fault == fault
    (told,) = [vars(record)["fault"] for record in caplog.records]
    assert told == "config/prices.json, line 2, `[1]`: The field `input` is missing. Add it."
    objects.drop(keys.PRICES, ENTRY)
    clock.advance(60)
    assert prices.current(clock.now()).value.name("m")


def test_a_file_that_may_not_be_read_is_a_fault(objects: FakeObjects, clock: ManualClock) -> None:
    objects.drop(keys.LIMITS, b"{}")
    for head in (True, False):
        objects.forbid(keys.LIMITS, head=head)
        limits, fault = config_files.limits(objects).current(clock.now())
        assert limits == LimitList()
        assert fault.startswith("config/limits.json cannot be read: S3 answers ")


def test_a_long_file_is_not_held(objects: FakeObjects, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    objects.drop(keys.PRICES, b" " * 10_000_000)
    assert config_files.prices(objects).current(clock.now()).fault.startswith("config/prices.json is faulty. ")
    assert "longer than 65,536 bytes" in vars(caplog.records[0])["fault"]


def test_a_file_that_is_replaced_while_it_is_read_is_not_taken_for_missing(clock: ManualClock) -> None:
    objects = FakeObjects(clock, versioned=False)
    objects.drop(keys.PRICES, ENTRY)
    reads = 0

    def replace(name: str) -> None:
        nonlocal reads
        if name == "objects.read":
            reads += 1
            if reads < 2:
                objects.drop(keys.PRICES, ENTRY.replace(b'"m"', f'"m{reads}"'.encode()))

    objects.hooks.before = replace
    assert config_files.prices(objects).current(clock.now()).value.name("m1")


def test_a_file_that_is_replaced_again_and_again_is_a_fault(clock: ManualClock) -> None:
    objects = FakeObjects(clock, versioned=False)
    objects.drop(keys.PRICES, ENTRY)
    bodies = iter(ENTRY + b" " * count for count in range(1, 100))

    def replace(name: str) -> None:
        if name == "objects.read":
            objects.drop(keys.PRICES, next(bodies))

    objects.hooks.before = replace
    prices = config_files.prices(objects)
    assert "is replaced again and again" in prices.current(clock.now()).fault
    objects.hooks.clear()
    clock.advance(60)
    assert prices.current(clock.now()).value.name("m")
