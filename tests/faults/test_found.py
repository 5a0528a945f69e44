"""Trials that once broke a promise, each the least of its kind."""

from __future__ import annotations

import pytest

from tests.faults.happenings import Late, NewKey, Refusal, Stranger, Unanswered
from tests.faults.trial import File, Trial, played

FOUND = {
    "results that end cleanly but short were sent again, and paid for three times": Trial(
        (File(("ok", "ok")),), (Late("results", 120, short=True),), max_requests=1
    ),
    "an account out of credit ended every row as errored": Trial(
        (File(("ok", "ok")),), (Refusal("no credit", 0, 2),), max_requests=1
    ),
    "an account on hold ended every row as errored": Trial((File(("ok", "ok")),), (Refusal("on hold", 0, 2),), max_requests=1),
    "a stranger's answers were delivered, under ids that follow ours": Trial(
        (
            File(("ok", "hopeless", "garbage", "blank", "blank", "silent", "twice", "expires", "ok"), priority="high"),
            File(("ok", "ok", "expires", "ok", "twice", "silent", "garbage", "busy", "ok"), at=1, priority="low"),
        ),
        (Stranger(1, first=True, forges=True), Unanswered(1, seconds=None)),
        queue_limit=4,
    ),
    "a stranger's batch was adopted, deleted by its owner, and waited for": Trial(
        (File(("ok", "garbage", "hopeless"), priority="low"), File(("ok", "garbage"), at=5)),
        (Stranger(2, deletes=0), Unanswered(2, seconds=800)),
        max_requests=2,
        queue_limit=4,
    ),
    "what was sent with a key of another workspace can be neither found nor sent again": Trial(
        (File(("ok", "busy", "ok")),), (Unanswered(0), NewKey(1, elsewhere=True)), max_requests=2
    ),
}


@pytest.mark.parametrize("trial", FOUND.values(), ids=FOUND)
def test_no_promise_is_broken_when(trial: Trial) -> None:
    result = played(trial)
    assert result.broken == []
    assert result.trial.happenings == trial.happenings
