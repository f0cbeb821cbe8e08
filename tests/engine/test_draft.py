"""Drafting: which text is followed, and how far it is trusted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigc_cli.engine.draft import Drafter

OLD = list(range(100, 200))


def after(drafter: Drafter, tokens: list[int]) -> Drafter:
    for token in tokens:
        drafter.push(token)
    return drafter


def test_a_prediction_is_followed_from_its_start() -> None:
    drafter = Drafter(OLD, [1, 2, 3])
    assert drafter.draft(5) == OLD[:5]
    assert after(drafter, OLD[:7]).draft(5) == OLD[7:12]


def test_nothing_is_drafted_behind_the_end_of_a_prediction() -> None:
    drafter = after(Drafter(OLD, [1, 2, 3]), OLD[:96])
    assert drafter.draft(len(drafter.chances(30))) == OLD[96:]
    assert after(drafter, OLD[96:]).chances(30) == []
    assert drafter.draft(30) == []


def test_an_exchanged_token_is_passed_over() -> None:
    drafter = after(Drafter(OLD, []), [*OLD[:10], 7, *OLD[11:12]])
    assert drafter.draft(3) == OLD[12:15]


def test_after_an_insertion_the_prediction_is_found_again() -> None:
    drafter = after(Drafter(OLD, []), [*OLD[:10], 7, 8, 9, 7, 8, *OLD[10:13]])
    assert drafter.draft(3) == OLD[13:16]


def test_after_a_deletion_the_prediction_is_found_again() -> None:
    drafter = after(Drafter(OLD, []), [*OLD[:10], *OLD[40:43]])
    assert drafter.draft(3) == OLD[43:46]


def test_of_equal_places_the_one_nearest_to_where_it_was_left_is_followed() -> None:
    line = [1, 2, 3]
    prediction = [*line, 10, 10, *line, 20, 20, *line, 30, 30, *line, 40, 40]
    drafter = after(Drafter(prediction, []), [*line, 10, 10, *line, 99, 98, *line])
    assert drafter.draft(2) == [30, 30]


def test_of_unequal_places_the_longer_match_is_followed() -> None:
    prediction = [5, 5, 5, 5, 1, 2, 3, 50, 9, 9, 9, 9, 4, 1, 2, 3, 60]
    drafter = after(Drafter(prediction, []), [8, 8, 8, 8, 4, 1, 2, 3])
    assert drafter.draft(1) == [60]


def test_the_prompt_and_the_reply_itself_are_followed_too() -> None:
    drafter = after(Drafter([], [1, 2, 3, 4, 5, 6]), [1, 2, 3])
    assert drafter.draft(3) == [4, 5, 6]
    drafter = after(Drafter([], []), [7, 8, 9, 10, 50, 7, 8, 9])
    assert drafter.draft(2) == [10, 50]


def test_trust_grows_with_right_guesses_and_falls_with_wrong_ones() -> None:
    fresh = after(Drafter([], [*OLD, 1]), OLD[:3]).chances(1)[0]
    trusted = after(Drafter([], [*OLD, 1]), OLD[:40]).chances(1)[0]
    assert trusted > fresh
    misled = Drafter([], [*OLD, 1])
    for n in range(20):
        after(misled, [*OLD[4 * n : 4 * n + 3], 7])
    assert after(misled, OLD[90:93]).chances(1)[0] < fresh


def test_chances_fall_along_a_draft() -> None:
    chances = after(Drafter(OLD, []), OLD[:10]).chances(64)
    assert len(chances) == 64
    assert sorted(chances, reverse=True) == chances
    assert 0 < chances[-1] < chances[0] < 1


NAMED = [*OLD[:10], 7, *OLD[10:20], 7, *OLD[20:30], 7, *OLD[30:40], 7, *OLD[40:50]]


@pytest.mark.parametrize("new", [[8], [8, 9], [], [8, 7], list(range(6))])
def test_a_change_is_expected_again_where_the_same_tokens_stand(new: list[int]) -> None:
    drafter = after(Drafter(NAMED, []), [*OLD[:10], *new, *OLD[10:20]])
    expected = [*new, *OLD[20:30], *new, *OLD[30:40], *new, *OLD[40:50]]
    assert drafter.draft(100) == expected
    chances = drafter.chances(100)
    assert len(chances) == len(expected)
    assert sorted(chances, reverse=True) == chances
    assert after(drafter, [*new, *OLD[20:24]]).draft(100) == expected[len(new) + 4 :]


def test_a_change_of_several_tokens_is_expected_where_all_of_them_stand() -> None:
    prediction = [*OLD[:10], 7, 6, *OLD[10:20], 7, *OLD[20:30], 7, 6, *OLD[30:40]]
    drafter = after(Drafter(prediction, []), [*OLD[:10], 9, *OLD[10:13]])
    assert drafter.draft(100) == [*OLD[13:20], 7, *OLD[20:30], 9, *OLD[30:40]]


def test_where_a_change_is_not_made_the_prediction_is_followed_on() -> None:
    drafter = after(Drafter(NAMED, []), [*OLD[:10], 8, *OLD[10:20], 7])
    assert drafter.draft(10) == OLD[20:30]
    # made once, left out once: it is not likely enough any more
    assert after(drafter, OLD[20:30]).draft(3) == [7, *OLD[30:32]]
    # but should it come, nothing is lost
    assert after(drafter, [8]).draft(10) == OLD[30:40]


def test_a_long_insertion_is_not_expected_again() -> None:
    drafter = after(Drafter(NAMED, []), [*OLD[:10], *range(20, 40), 7, *OLD[10:13]])
    assert drafter.draft(100) == NAMED[14:]


def test_the_last_token_of_a_prediction_may_be_changed() -> None:
    prediction = [*OLD[:10], 7, *OLD[10:20], 7]
    drafter = after(Drafter(prediction, []), [*OLD[:10], 8, 9, *OLD[10:20]])
    assert drafter.draft(10) == [8, 9]
    assert after(drafter, [8]).draft(10) == [9]
    assert after(drafter, [9]).draft(10) == []


@settings(deadline=None)  # a machine may be busy
@given(
    st.lists(st.integers(0, 3), max_size=40),
    st.lists(st.integers(0, 3), max_size=40),
    st.lists(st.integers(0, 3), max_size=80),
)
def test_drafts_are_known_tokens_each_with_its_chance(
    prediction: list[int], context: list[int], said: list[int]
) -> None:
    drafter = Drafter(prediction, context)
    for n, token in enumerate(said):
        draft, chances = drafter.draft(16), drafter.chances(16)
        assert len(draft) == len(chances)
        assert set(draft) <= {*prediction, *context, *said[:n]}
        assert all(0 < chance <= 1 for chance in chances)
        assert sorted(chances, reverse=True) == chances
        drafter.push(token)
