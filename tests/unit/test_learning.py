"""What is learned is a band around what came, wider the less is known, and never upside down."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.domain.money import Learned
from batchdrop.money.learning import SHARE, OtherRows, TriedRow, learn, learned_of_job, merge, nothing_learned

AMOUNT = st.integers(0, 10**15)
TRIED = st.builds(TriedRow, AMOUNT, AMOUNT, AMOUNT, AMOUNT)
OTHERS = st.none() | st.builds(OtherRows, st.integers(0, 10**6), st.integers(0, 10**18), st.integers(0, 10**18))
BAND = st.tuples(st.integers(0, SHARE), st.integers(0, SHARE)).map(sorted)
LEARNED = st.builds(
    lambda inputs, outputs, rows: Learned(
        input_low=inputs[0], input_high=inputs[1], output_low=outputs[0], output_high=outputs[1], rows=rows
    ),
    BAND,
    BAND,
    st.integers(0, 20),
)
UNKNOWN = nothing_learned()


def tried(seed: int, rows: int = 20) -> list[TriedRow]:
    """Prompts 1.2 times as guessed, answers a tenth of their most; both spread."""
    random = Random(seed)
    return [
        TriedRow(10**12, int(1.2 * 10**12 * random.uniform(0.9, 1.1)), 10**13, int(10**12 * random.expovariate(1)))
        for _ in range(rows)
    ]


def inputs(of: Learned) -> tuple[int, int]:
    return of.input_low, of.input_high


def outputs(of: Learned) -> tuple[int, int]:
    return of.output_low, of.output_high


def width(band: tuple[int, int]) -> int:
    return band[1] - band[0]


def assert_sound(of: Learned) -> None:
    assert 0 <= of.input_low <= of.input_high
    assert 0 <= of.output_low <= of.output_high <= SHARE


@given(st.lists(TRIED, max_size=25), OTHERS)
def test_bands_are_never_upside_down(rows: list[TriedRow], others: OtherRows | None) -> None:
    found = learn(rows, others)
    assert_sound(found)
    assert found.rows == len(rows)


@given(st.lists(TRIED, min_size=1, max_size=25))
def test_what_came_is_inside_the_band(rows: list[TriedRow]) -> None:
    found = learn(rows)
    if guessed := sum(row.guessed_input for row in rows):
        assert found.input_low <= sum(row.input for row in rows) * SHARE / guessed + 1e-6
        assert found.input_high >= sum(row.input for row in rows) * SHARE / guessed - 1e-6
    if most := sum(row.most_output for row in rows):
        was = min(SHARE, sum(row.output for row in rows) * SHARE / most)
        assert found.output_low <= was + 1e-6
        assert found.output_high >= was - 1e-6


def test_nothing_is_the_band_of_the_guess_and_any_answer() -> None:
    assert learn([]) == UNKNOWN
    assert outputs(UNKNOWN) == (0, SHARE)
    assert inputs(UNKNOWN)[0] < SHARE < inputs(UNKNOWN)[1]


def test_more_rows_make_narrower_bands() -> None:
    widths = [width(outputs(learn(tried(1, rows)[:rows]))) for rows in (1, 2, 20, 500)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 2 * widths[2]
    assert widths[3] < widths[2] / 3


def test_twenty_rows_know_their_prompts_well() -> None:
    low, high = inputs(learn([row._replace(most_output=0, output=0) for row in tried(2)]))
    assert 1.1 * SHARE < low < 1.2 * SHARE < high < 1.3 * SHARE


@pytest.mark.parametrize("rows", [1, 2, 20])
def test_rows_that_all_cost_nothing_say_how_many_others_may(rows: int) -> None:
    """Refused before any output, or faults: the API bills neither."""
    found = learn([TriedRow(10**12, 0, 10**13, 0)] * rows)
    assert found.input_low == found.output_low == 0
    assert found.output_high == pytest.approx(SHARE * (1 - 0.05 ** (1 / rows)), abs=1)
    assert found.input_high == pytest.approx(UNKNOWN.input_high * (1 - 0.05 ** (1 / rows)), abs=1)


def test_without_any_price_nothing_is_learned() -> None:
    found = learn([TriedRow(0, 0, 0, 0)] * 20)
    assert (inputs(found), outputs(found)) == (inputs(UNKNOWN), outputs(UNKNOWN))


def test_a_part_whose_error_is_small_beside_the_other_hardly_widens_the_sum() -> None:
    """The sum of both bands is the band of the sum, and not of two worst cases."""
    rows = tried(3)
    both = learn(rows)
    prompts = learn([row._replace(most_output=0, output=0) for row in rows])
    answers = learn([row._replace(guessed_input=0, input=0) for row in rows])
    assert width(inputs(both)) < width(inputs(prompts)) / 2
    assert width(outputs(answers)) * 0.9 < width(outputs(both)) <= width(outputs(answers))


def test_few_others_are_less_certain_than_many() -> None:
    rows = tried(4)
    alike = OtherRows(1, 10**12, 10**13)
    few, many = (learn(rows, OtherRows(*(one * times for one in alike))) for times in (20, 100_000))
    assert width(outputs(few)) > 1.3 * width(outputs(many))
    assert width(outputs(learn(rows))) == pytest.approx(width(outputs(many)), rel=0.001)


def test_a_translation_is_told_by_its_prompts() -> None:
    random = Random(5)
    prompts = [int(10**12 * random.lognormvariate(0, 0.9)) for _ in range(20)]
    rows = [TriedRow(prompt, prompt, 10**13, int(prompt * random.uniform(0.9, 1.1))) for prompt in prompts]
    # The others' prompts are half as long again.
    others = OtherRows(1_000, int(1.5 * sum(prompts) / 20 * 1_000), 1_000 * 10**13)
    expected = others.guessed_input / others.most_output * SHARE
    without, found = outputs(learn(rows)), outputs(learn(rows, others))
    assert found[0] < expected < found[1]
    assert width(found) < 0.7 * width(without)


@given(TRIED, st.integers(1, 10**6))
def test_a_job_teaches_the_next_one_its_ratios(total: TriedRow, rows: int) -> None:
    found = learned_of_job(total, rows)
    assert_sound(found)
    if not (total.guessed_input and total.input):
        assert inputs(found) == inputs(UNKNOWN)
    if not (total.most_output and total.output):
        assert outputs(found) == outputs(UNKNOWN)


def test_what_a_job_teaches_has_room_for_other_files() -> None:
    """However many rows it had, they differ by a quarter."""
    found = learned_of_job(TriedRow(10**15, 2 * 10**15, 10**15, 10**14), 10**9)
    assert inputs(found) == pytest.approx((1_600_000, 2_500_000), abs=2)
    assert outputs(found) == pytest.approx((80_000, 125_000), abs=2)
    assert found.rows == 10**9


def test_the_fewer_rows_a_job_had_the_less_it_teaches() -> None:
    total = TriedRow(10**15, 10**15, 10**15, 10**14)
    bands = [outputs(learned_of_job(total, rows)) for rows in (1_000, 100, 20, 5)]
    assert all(wide[0] < narrow[0] and narrow[1] < wide[1] for narrow, wide in pairwise(bands))
    # As wide as that of a pilot whose answers spread as usual, and wider by what files differ.
    pilot = outputs(learn([row._replace(guessed_input=0, input=0) for row in tried(6)]))
    assert width(pilot) < width(outputs(learned_of_job(total, 20))) < 2 * width(pilot)


@given(st.none() | LEARNED, st.none() | LEARNED)
def test_two_together_are_never_wider_than_the_pilot(earlier: Learned | None, pilot: Learned | None) -> None:
    found = merge(earlier, pilot)
    assert (found is None) == (earlier is None and pilot is None)
    if found is None:
        return
    assert_sound(found)
    if pilot is not None and pilot.rows:
        assert pilot.input_low <= found.input_low <= found.input_high <= pilot.input_high
        assert pilot.output_low <= found.output_low <= found.output_high <= pilot.output_high
    if pilot is None or not pilot.rows:
        assert found == (pilot if earlier is None else earlier)


def test_where_two_disagree_the_rows_of_this_file_are_believed() -> None:
    def of(low: int, high: int, rows: int) -> Learned:
        return Learned(input_low=low, input_high=high, output_low=low, output_high=high, rows=rows)

    assert merge(of(10, 20, 900), of(15, 30, 20)) == of(15, 20, 920)
    assert merge(of(10, 20, 900), of(21, 30, 20)) == of(21, 30, 920)
    assert merge(of(10, 20, 900), of(12, 13, 20)) == of(12, 13, 920)
    assert merge(of(12, 13, 900), None) == merge(of(12, 13, 900), of(0, SHARE, 0)) == of(12, 13, 900)
