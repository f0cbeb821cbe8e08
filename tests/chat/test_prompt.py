import pytest

from aigc_cli.chat.prompt import (
    SYSTEM_PROMPT,
    Attachment,
    build_user_message,
    sampling_from,
    system_message,
    well_formed,
)
from aigc_cli.config import Settings
from aigc_cli.engine.base import Message, Sampling
from aigc_cli.errors import UsageError


def test_the_system_prompt_is_short() -> None:
    assert len(SYSTEM_PROMPT.split()) < 75  # about 1.3 tokens a word: under 100 of the 150 that are allowed


@pytest.mark.parametrize(
    ("system", "messages"),
    [
        (None, (Message("system", SYSTEM_PROMPT),)),
        ("be brief", (Message("system", "be brief"),)),
        ("", ()),
        (" \n", ()),
    ],
)
def test_the_system_message_is_built_in_chosen_or_none(
    system: str | None, messages: tuple[Message, ...]
) -> None:
    assert system_message(system) == messages


def test_a_message_without_attachments_is_the_words_themselves() -> None:
    assert build_user_message(" what?\n") == " what?\n"


def test_a_line_break_in_a_file_name_does_not_end_its_label() -> None:
    assert build_user_message("", [Attachment("a\nb", "x")]) == "a b:\n```\nx\n```"


def test_a_block_ends_on_a_line_of_its_own_whether_or_not_the_file_does() -> None:
    assert build_user_message("q", [Attachment("a", "x")]) == build_user_message(
        "q", [Attachment("a", "x\n")]
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("好", "好"), ("caf\udce9", "caf\ufffd"), ("\udce4\udcbd\udca0", "你")]
)
def test_bytes_of_a_command_line_become_text(text: str, expected: str) -> None:
    assert well_formed(text) == expected


def test_nothing_set_is_what_the_publisher_recommends() -> None:
    recommended = Sampling(temperature=0.3, top_k=9)
    assert sampling_from(Settings(), recommended) == recommended


def test_zero_is_a_value_and_not_unset() -> None:
    sampling = sampling_from(Settings(temperature=0.0, top_k=0, seed=0), Sampling(seed=5))
    assert (sampling.temperature, sampling.top_k, sampling.seed) == (0, 0, 0)


def test_stop_strings_are_added_to_those_of_the_model() -> None:
    assert sampling_from(Settings(), Sampling(stop=("a",)), ["b"]).stop == ("a", "b")


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="top_p"):
        sampling_from(Settings(top_p=2), Sampling())
