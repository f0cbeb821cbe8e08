"""Plain values of options are converted as typer would, without pydantic; the rest is left to typer."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aigc_cli.cli.plain_values import convert_plainly

CALLS: list[dict[str, Any]] = []


def command(
    *,
    rest: Annotated[list[str] | None, typer.Argument()] = None,
    text: Annotated[str | None, typer.Option()] = None,
    whole: Annotated[int, typer.Option(min=-3, max=1000)] = 7,
    decimal: Annotated[float | None, typer.Option(min=-1)] = None,
    switch: Annotated[bool | None, typer.Option("--switch/--no-switch")] = None,
    word: Annotated[Literal["auto", "always"] | None, typer.Option()] = None,
    many: Annotated[list[str] | None, typer.Option()] = None,
    doubled: Annotated[int | None, typer.Option(parser=lambda text: 2 * int(text))] = None,
) -> None:
    CALLS.append(dict(locals()))


def built(*, plainly: bool) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(command)
    whole = typer.main.get_command(app)
    if plainly:
        convert_plainly(whole)
    return whole


COMMANDS = {plainly: built(plainly=plainly) for plainly in (False, True)}


def outcome(words: list[str], *, plainly: bool) -> str:
    """What the command is called with, or what is said against its line."""
    try:
        COMMANDS[plainly].main(words, "test", standalone_mode=False)
    except typer.TyperException as error:
        return error.format_message()
    return repr(CALLS[-1])  # 1 is not 1.0 and not True


NUMBERS = [
    "0",
    "-3",
    "1000",
    "1001",
    "-0",
    "007",
    "1_0",
    " 5 ",
    "5.0",
    "1e3",
    "inf",
    "nan",
    "٣",
    "9" * 30,
    ".5",
]
OPTIONS = ("--text", "--whole", "--decimal", "--word", "--many", "--doubled")


@settings(deadline=None)  # the first line that is a mistake imports pydantic
@given(
    words=st.lists(
        st.one_of(
            st.tuples(
                st.sampled_from(OPTIONS), st.one_of(st.sampled_from([*NUMBERS, "auto", "Always"]), st.text())
            ),
            st.tuples(st.one_of(st.text(), st.sampled_from(["--switch", "--no-switch", "--", "--other"]))),
        ),
        max_size=4,
    )
)
@example(words=[])
def test_every_line_means_what_typer_takes_it_for(words: list[tuple[str, ...]]) -> None:
    line = [word for words_together in words for word in words_together]
    if not {"--help", "-h"} & set(line):
        assert outcome(line, plainly=True) == outcome(line, plainly=False)


@pytest.mark.parametrize("option", ["--whole", "--decimal"])
@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_is_what_typer_takes_it_for(option: str, number: str) -> None:
    assert outcome([option, number], plainly=True) == outcome([option, number], plainly=False)


_ROOT = Path(__file__).parents[2]  # `tests` is no installed package
PLAIN = ["words", "here", "--text", "a", "--whole", "5", "--decimal", "0.5", "--no-switch", "--word", "auto"]


def test_plain_values_need_no_pydantic() -> None:
    script = (
        f"import sys; sys.path[0] = {str(_ROOT)!r}; from tests.cli import test_plain_values as it\n"
        f"print(it.outcome({[*PLAIN, '--many', 'b']!r}, plainly=True), 'pydantic' in sys.modules)\n"
        f"it.outcome({PLAIN!r}, plainly=False); print('pydantic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    plain, typers = done.stdout.splitlines()
    assert "'whole': 5, 'decimal': 0.5, 'switch': False" in plain
    assert plain.endswith(" False")
    assert typers == "True"
