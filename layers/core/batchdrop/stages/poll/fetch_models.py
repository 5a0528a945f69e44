"""Once a day, keep the API's list of models where `plan`, which has no key, can read it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from batchdrop.domain.errors import ApiError
from batchdrop.domain.model_list import ModelList
from batchdrop.ports import Claude, Clock, Ledger

log = logging.getLogger(__name__)

_EVERY = timedelta(days=1)
_AGAIN_AFTER = timedelta(hours=1)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class FetchModels(msgspec.Struct, kw_only=True):
    ledger: Ledger
    claude: Claude
    clock: Clock
    official: bool
    """The API is at Anthropic's own address."""
    due: datetime = _NEVER
    """In memory only: a tick with nothing to do reads nothing. A new process looks into the table first."""

    def __call__(self) -> None:
        """Fetches the list if it is a day old, and tries once an hour at most."""
        now = self.clock.now()
        if now < self.due:
            return
        stored = self.ledger.get_models() or ModelList(fetched_at=_NEVER, official=self.official)
        self.due = max(stored.fetched_at + _EVERY, (stored.tried_at or _NEVER) + _AGAIN_AFTER)
        if now < self.due:
            return
        self.due = now + _AGAIN_AFTER
        # Before the call: should it take all of the invocation's time, the next ticks have theirs.
        self.ledger.put_models(replace(stored, tried_at=now))
        try:
            models = self.claude.models()
        except ApiError as error:
            log.warning("the list of models was not fetched", extra={"status": error.status, "kind": error.kind})
            return
        self.ledger.put_models(ModelList(fetched_at=now, models=models, official=self.official, tried_at=now))
        self.due = now + _EVERY
