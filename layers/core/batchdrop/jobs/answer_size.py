"""What answers can take as bytes, and how much of it one batch may have: somebody collects them in one go."""

from __future__ import annotations

from batchdrop.money.sizing import MAX_ANSWER_TOKENS

# What a token of `max_tokens` can take in a results stream. Prose has 4 to 5 bytes a token, code and tables of spaces more;
# other scripts 3 bytes a character at about a token each; escapes double what they touch; the signature of a thinking block
# comes on top at about 1.4 times its text. 12 covers these together. Results of server tools are not bounded by `max_tokens`:
# a collector that still runs out of disk says so (OutOfDisk).
ANSWER_BYTES_PER_TOKEN = 12
# Custom id, message id, model, stop reason, usage, and the longest error message: 1 to 2 KB seen, doubled.
ANSWER_BYTES_FIXED = 4_096
# Answers are rarely a quarter of `max_tokens`; where they are, the collector downloads them in windows that fit its disk.
_DISKS = 4


def longest_answer(max_tokens: int) -> int:
    """Bytes of one answer at worst. What no model generates must not make a batch of each row."""
    return min(max_tokens, MAX_ANSWER_TOKENS) * ANSWER_BYTES_PER_TOKEN + ANSWER_BYTES_FIXED


def most_answers(spool_bytes: int) -> int:
    """Bytes that the answers of one batch may take at worst. `spool_bytes`: disk of the collector."""
    return _DISKS * spool_bytes
