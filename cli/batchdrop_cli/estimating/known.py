"""What is known of prompts and answers before they are paid, and the words for it."""

from __future__ import annotations

from fractions import Fraction

from batchdrop.domain.money import Learned, Size
from batchdrop.domain.record import Record
from batchdrop.money.learning import SHARE, nothing_learned
from batchdrop_cli.amounts_said import number


class Known(Record, frozen=True, kw_only=True):
    """Of prompts, a share of the tokens that are guessed, from low to high; of answers, a number of tokens or nothing."""

    input_low: Fraction
    input_high: Fraction
    counted: int = 0
    """How many rows the API has counted."""
    told_prompt: int | None = None
    """Tokens of a prompt on average, by the person who asks."""
    told_answer: int | None = None
    """Of an answer, likewise."""

    def answers(self, size: Size) -> tuple[int, int]:
        """The least and the most tokens that the answers of these requests are expected to take together."""
        if self.told_answer is None:
            return 0, size.max_output_tokens
        told = min(self.told_answer * size.requests, size.max_output_tokens)
        return told, told

    def words(self) -> str:
        return f"{self._of_prompts()}; {self._of_answers()}"

    def _of_prompts(self) -> str:
        if self.told_prompt is not None:
            return f"prompts of {self.told_prompt:,} tokens, as you say"
        if self.counted:
            return f"prompts guessed from their text, corrected by {number(self.counted, 'row')} that the API has counted"
        low, high = (f"{float(share - 1) * 100:+.0f}" for share in (self.input_low, self.input_high))
        return f"prompts guessed from their text, within {low} and {high} %"

    def _of_answers(self) -> str:
        if self.told_answer is not None:
            return f"answers of {self.told_answer:,} tokens, as you say"
        return "answers between nothing and max_tokens"


def known_by(
    learned: Learned | None, *, prompts: Fraction | None = None, prompt: int | None = None, answer: int | None = None
) -> Known:
    """`learned`: by rows that were counted. `prompts`: what was told of all prompts together, as a share of what is guessed."""
    band = learned or nothing_learned()
    low, high = Fraction(band.input_low, SHARE), Fraction(band.input_high, SHARE)
    return Known(
        input_low=low if prompts is None else prompts,
        input_high=high if prompts is None else prompts,
        counted=band.rows,
        told_prompt=prompt,
        told_answer=answer,
    )
