"""What to do about rows without an answer, by the reason."""

from __future__ import annotations

from batchdrop.domain.answer_counts import OTHER
from batchdrop.domain.retries import NO_RESULT, retryable

_BY_ERROR = {
    "truncated": "Raise max_tokens in the recipe, and put {failed} in again.",
    "refused": "Claude did not want to answer. Change the row or the prompt, and put {failed} in again.",
    "empty": "The answer was empty. Say in the prompt what to answer if there is nothing to say.",
    "off_schema": "The answer did not have the form that the recipe asks for. Make the prompt or the schema clearer.",
    "duplicate_custom_id": "Give each row an id of its own.",
    "deadline_passed": "Put {failed} in again, with a later deadline.",
    NO_RESULT: "Put {failed} in again: Anthropic has not counted these rows.",
    "tried_answer_lost": "It may have been paid for. Put {failed} in again to ask once more all the same.",
}
_BY_STATUS = {
    OTHER: "Read the reason of each row in {failed}, and correct what needs correcting.",
    "invalid": "Correct these rows in {failed}, and put it in again.",
    "expired": "Put {failed} in again: Anthropic had no time for these rows.",
    "canceled": "Put {failed} in again if you want these answers.",
    "missing": "They may have been answered and paid for. Put {failed} in again to ask once more all the same.",
    "errored": "Read the reason, correct these rows in {failed}, and put it in again.",
}
_MEND = "Mend these documents, put them into the folder again under the same names, and create the folder start in it again."
_OF_DOCUMENTS = {
    OTHER: "Read the reason of each row in {failed}: what is wrong with a document is mended in the folder.",
    "invalid": _MEND,
    "errored": f"Read the reason. {_MEND}",
    "refused": "Claude did not want to answer. Change the document or the prompt, and create the folder start again.",
}


def remedy(status: str, error: str, failed: str, *, documents: bool = False) -> str:
    """In a few words. `failed`: the file with these rows. `documents`: each row is a file of a folder that was started."""
    if status == "errored" and retryable(status, error):
        return f"It passes: put {failed} in again."
    known = _BY_STATUS | _BY_ERROR | (_OF_DOCUMENTS if documents else {})
    text = known.get(error) or known.get(status, "See {failed}.")
    return text.format(failed=failed)
