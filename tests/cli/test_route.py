import pytest

from aigc_cli.cli.app import command_group
from aigc_cli.cli.route import Route, route
from aigc_cli.errors import UsageError

GROUP = command_group()


def routed(line: list[str], *, stdin_is_terminal: bool = True) -> Route:
    return route(line, GROUP, GROUP.commands, stdin_is_terminal=stdin_is_terminal)


AT_A_TERMINAL = [
    ([], ["chat"]),
    (["-m", "smol"], ["chat", "-m", "smol"]),
    (["-msmol", "--temperature=0"], ["chat", "-msmol", "--temperature=0"]),
    (["--json"], ["ask", "--json"]),  # the chat has no such option
    (["chat"], ["chat"]),
    (["-m", "smol", "chat"], ["chat", "-m", "smol"]),
    (["--model", "smol", "--stats", "chat"], ["chat", "--model", "smol", "--stats"]),
    (["-m", "chat", "hello you"], ["ask", "-m", "chat", "hello you"]),
    (["-m=chat", "hi"], ["ask", "-m=chat", "hi"]),
    (["why", "is", "it", "slow"], ["ask", "why", "is", "it", "slow"]),
    (["用 Python 写一个函数"], ["ask", "用 Python 写一个函数"]),
    (["-f", "a.py", "what"], ["ask", "-f", "a.py", "what"]),
    (["--file", "models", "what"], ["ask", "--file", "models", "what"]),
    (["--code", "models of the world"], ["ask", "--code", "models of the world"]),
    (["-o", "x.py", "gen", "a thing"], ["gen", "-o", "x.py", "a thing"]),
    (["models", "list"], ["models", "list"]),
    (["doctor"], ["doctor"]),
    (["--", "models"], ["ask", "--", "models"]),
    (["models of mind"], ["ask", "models of mind"]),
    (["--", "config"], ["ask", "--", "config"]),
    (["-m", "smol", "--", "config"], ["ask", "-m", "smol", "--", "config"]),
    (["ask", "config"], ["ask", "config"]),
    (["-", "summarise"], ["ask", "-", "summarise"]),
    (["config", "show", "--json"], ["config", "show", "--json"]),
    (["--help"], ["--help"]),
    (["-h"], ["-h"]),
    (["--version", "x"], ["--version"]),
    (["-m", "smol", "--help"], ["--help"]),
    (["question", "--help"], ["ask", "question", "--help"]),
    (["help"], ["--help"]),
    (["help", "gen"], ["gen", "--help"]),
    (["help", "me", "please"], ["ask", "help", "me", "please"]),
    (["version"], ["--version"]),
    (["--no-such-option", "hi"], ["ask", "--no-such-option", "hi"]),
    (["-f"], ["chat", "-f"]),
    (["hello"], ["ask", "hello"]),
    (["confg", "files", "are", "odd"], ["ask", "confg", "files", "are", "odd"]),
]


@pytest.mark.parametrize(("line", "expected"), AT_A_TERMINAL)
def test_a_line_becomes_the_command_that_is_meant(line: list[str], expected: list[str]) -> None:
    assert routed(line) == Route(expected)


@pytest.mark.parametrize("line", [[], ["-m", "smol"], ["--json"]])
def test_without_words_a_pipe_is_a_question(line: list[str]) -> None:
    assert routed(line, stdin_is_terminal=False).argv == ["ask", *line]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (["modles", "list"], "models list"),
        (["docter"], "doctor"),
        (["cofnig"], "config"),
        (["confg", "show"], "config show"),
        (["-m", "x", "chatt"], "chat"),
    ],
)
def test_a_misspelt_command_is_not_sent_to_the_model(line: list[str], meant: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean `aigc {meant}`") as raised:
        routed(line)
    assert raised.value.hint.startswith("to ask the model: aigc ask ")


def test_a_misspelt_command_with_something_piped_in_is_asked_with_a_note() -> None:
    assert routed(["confg"], stdin_is_terminal=False) == Route(
        ["ask", "confg"], "asking the model; did you mean `aigc config`?"
    )


def test_every_option_with_a_value_is_known_to_take_one() -> None:
    # the table is read off the commands: a new option needs no change here or there
    for parameter in GROUP.commands["ask"].params:
        if parameter.param_type_name != "option" or "--help" in parameter.opts:  # that one is the root's
            continue
        for name in (*parameter.opts, *parameter.secondary_opts):
            takes_value = not getattr(parameter, "is_flag", False)
            expected = ["ask", name, "config", "hi"] if takes_value else ["config", name, "hi"]
            assert routed([name, "config", "hi"]).argv == expected
