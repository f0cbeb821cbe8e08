"""`aigc inspect`: real commands on a tiny model, in a pipe, on a terminal, as JSON and as a page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from aigc_cli.render.console import ColorDepth
from aigc_cli.render.distribution import Ranked, Sieve, draw_distribution
from tests.cli.command_line import CommandLine, Outcome
from tests.tiny_model import N_HEADS, N_LAYERS, write_tiny_model

TEXT = "hello world, 你好"
NASTY = 'a </script><b onclick="x">\x1b]0;gotcha\x07 \x9b31m'
COMMANDS = ("tokens", "next", "attention", "layers")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def line(tmp_path: Path, isolated: Path) -> CommandLine:
    return CommandLine(tmp_path, isolated)


def inspect(line: CommandLine, model: Path, *argv: str, **world: Any) -> Outcome:
    return line.run("inspect", argv[0], "-m", str(model), *argv[1:], **world)


def facts(line: CommandLine, model: Path, *argv: str) -> dict[str, Any]:
    outcome = inspect(line, model, *argv, "--json")
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


class Checker(HTMLParser):
    """Counts tags, and notes what would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = {name for name, _ in attrs}
        self.loads += [name for name in ("src", "href", "action") if name in names]
        self.loads += [name for name in names if name.startswith("on")]


def test_tokens_in_a_pipe_are_one_a_line(line: CommandLine, model: Path) -> None:
    outcome = inspect(line, model, "tokens", TEXT)
    *rows, summary = outcome.out.splitlines()
    assert [row.split("\t")[0] for row in rows] == [str(n) for n in range(len(rows))]
    assert [row.split("\t")[2] for row in rows][:3] == ["hello", "·world", ","]
    assert rows[-1].split("\t")[2] == "<BD>"  # the last byte of a Chinese character
    assert f"{len(rows)} tokens" in summary
    assert "context window of" in summary
    assert "\x1b" not in outcome.out


def test_tokens_of_a_chat_show_the_template(line: CommandLine, model: Path) -> None:
    found = facts(line, model, "tokens", "--chat", "--system", "Be brief.", "hello")
    assert [t["text"] for t in found["tokens"] if t["control"]].count("<|im_start|>") == 3
    assert "".join(t["text"] for t in found["tokens"] if t["text"]).count("Be brief.") == 1
    assert found["share"] == pytest.approx(found["count"] / found["context"])


def test_bytes_that_are_no_character_have_no_text(line: CommandLine, model: Path) -> None:
    found = facts(line, model, "tokens", "你")
    assert [token["text"] for token in found["tokens"]] == [None, None, None]
    assert bytes(byte for token in found["tokens"] for byte in token["bytes"]).decode() == "你"


def test_a_text_comes_from_a_file_or_a_pipe(line: CommandLine, model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("hello world\n", encoding="utf-8")
    from_file = inspect(line, model, "tokens", "-f", "text.txt")
    from_pipe = inspect(line, model, "tokens", stdin=b"hello world\n")
    assert from_file.out == from_pipe.out == inspect(line, model, "tokens", "hello world\n").out
    both = inspect(line, model, "tokens", "-f", "text.txt", "and words")
    assert (both.code, both.error_lines[0]) == (2, "aigc: error: the text is given twice")


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_to_inspect_is_a_usage_error(line: CommandLine, model: Path, command: str) -> None:
    assert inspect(line, model, command).code == 2
    assert inspect(line, model, command, stdin=b"").code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_text_is_no_escape_sequence(line: CommandLine, model: Path, command: str) -> None:
    outcome = inspect(line, model, command, NASTY, terminal=True)
    assert outcome.code == 0, outcome.err
    assert re.sub(r"\x1b\[[0-9;]*m", "", outcome.out).isprintable() is False  # line ends only
    assert not re.search(r"\x1b(?!\[[0-9;]*m)|[\x00-\x09\x0b-\x1a\x7f-\x9f]", outcome.out)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_color_means_none(line: CommandLine, model: Path, command: str) -> None:
    outcome = inspect(line, model, command, TEXT, terminal=True, env={"NO_COLOR": "1"})
    assert outcome.code == 0
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_window_too_small_for_the_text_is_told(line: CommandLine, model: Path, command: str) -> None:
    outcome = inspect(line, model, command, "--context", "512", "a " * 900)
    assert outcome.code == (0 if command == "tokens" else 4)


def test_next_shows_the_best_tokens_with_bars(line: CommandLine, model: Path) -> None:
    outcome = inspect(line, model, "next", "--top", "4", TEXT)
    rows = outcome.out.splitlines()
    assert rows[0].startswith("hello·world")
    shares = [float(match[1]) for match in re.finditer(r"(\d+\.\d\d)%", outcome.out)]
    assert len(shares) == 4
    assert shares == sorted(shares, reverse=True)
    assert "entropy" in rows[-1]
    assert "█" in outcome.out or "▏" in outcome.out


def test_sampling_options_give_a_column_each(line: CommandLine, model: Path) -> None:
    options = ("--temperature", "0.2", "--top-p", "0.9", "--min-p", "0", "--top-k", "12", "--seed", "1")
    found = facts(line, model, "next", *options, "--top", "20", TEXT)
    assert [(s["name"], s["setting"]) for s in found["samplers"]] == [
        ("top_k", "12"),
        ("top_p", "0.9"),
        ("temperature", "0.2"),
    ]
    assert found["samplers"][0]["tokens_left"] == 12
    assert sum(each["after"][0] is not None for each in found["candidates"]) == 12
    drawn = inspect(line, model, "next", *options, TEXT).out
    assert "top-k 12" in drawn
    assert "out" in drawn
    assert any(row.split()[:2] == ["left", "12"] for row in drawn.splitlines())
    assert drawn.splitlines()[-1].startswith("drawn: ")


def test_the_count_of_survivors_is_named_beside_short_tokens() -> None:
    ranked = [Ranked(b"a", 0.9, (0.9,))]
    rows = draw_distribution(ranked, [Sieve("top_k", "1", 1)], b"a", ColorDepth.NONE, 80)
    assert rows[-1].split() == ["left", "1"]


def test_without_sampling_options_there_is_no_column(line: CommandLine, model: Path) -> None:
    assert facts(line, model, "next", TEXT)["samplers"] == []


def test_a_bad_sampling_option_is_told_before_a_model_is_looked_for(line: CommandLine) -> None:
    outcome = line.run("inspect", "next", "-m", "no-such-model", "--top-p", "7", "x")
    assert outcome.code == 2
    assert "top_p" in outcome.error_lines[0]


def test_attention_rows_are_in_the_json(line: CommandLine, model: Path) -> None:
    found = facts(line, model, "attention", "--layer", "all", TEXT)
    assert len(found["maps"]) == N_LAYERS
    assert found["heads"] == N_HEADS
    for map_ in found["maps"]:
        assert [len(row["weights"]) for row in map_["rows"]] == list(range(1, len(found["tokens"]) + 1))
        assert all(sum(row["weights"]) == pytest.approx(1, abs=1e-3) for row in map_["rows"])


def test_a_heat_map_has_a_row_for_each_token(line: CommandLine, model: Path) -> None:
    outcome = inspect(line, model, "attention", "hello world")
    assert "mean of all layers" in outcome.out
    assert "attention sink" in outcome.out
    assert re.search(r"^0 hello +██$", outcome.out, re.MULTILINE)
    colored = inspect(line, model, "attention", "hello world", terminal=True)
    assert "\x1b[48;5;" in colored.out


def test_a_long_text_shows_its_end_and_says_so(line: CommandLine, model: Path) -> None:
    outcome = inspect(line, model, "attention", "a b c d e f g h " * 8)
    assert "no room for tokens 0 to" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_one_token_is_a_list_of_what_it_looked_at(line: CommandLine, model: Path) -> None:
    outcome = inspect(line, model, "attention", "--rollout", "--token", "1", "--no-sink", "hello world")
    assert "rollout without the first token: token 1 ·world looked at" in outcome.out
    assert re.search(r"^1 ·world 100\.0% █+$", outcome.out, re.MULTILINE)


@pytest.mark.parametrize(
    "options",
    [("--layer", "9"), ("--head", "9"), ("--token", "99"), ("--layer", "x"), ("--layer", "0", "--rollout")],
)
def test_what_is_not_there_is_a_usage_error(line: CommandLine, model: Path, options: tuple[str, ...]) -> None:
    outcome = inspect(line, model, "attention", *options, TEXT)
    assert (outcome.code, len(outcome.error_lines)) == (2, 2)


def test_layers_show_how_the_answer_forms(line: CommandLine, model: Path) -> None:
    found = facts(line, model, "layers", "--top", "2", TEXT)
    assert [layer["layer"] for layer in found["layers"]] == list(range(N_LAYERS))
    own = facts(line, model, "next", "--top", "1", TEXT)["candidates"][0]
    assert found["layers"][-1]["candidates"][0]["id"] == own["id"]
    drawn = inspect(line, model, "layers", TEXT).out
    assert re.search(r"^layer 1 .*%", drawn, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_holds_everything_and_loads_nothing(
    line: CommandLine, model: Path, tmp_path: Path, command: str
) -> None:
    outcome = inspect(line, model, command, "--html", "page.html", NASTY)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "aigc: wrote page.html\n")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    assert checker.loads == []
    assert not re.search(r"https?:|url\(|@import", page)
    assert checker.tags.count("b") == 0
    assert "prefers-color-scheme: dark" in page
    assert "Content-Security-Policy" in page
    again = inspect(line, model, command, "--html", "page.html", NASTY)
    assert again.code == 1
    assert inspect(line, model, command, "--html", "page.html", "--force", NASTY).code == 0


def test_a_page_of_attention_has_every_layer_to_choose_from(
    line: CommandLine, model: Path, tmp_path: Path
) -> None:
    inspect(line, model, "attention", "--html", "page.html", TEXT)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    packed = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page)
    assert packed
    names = [map_["name"] for map_ in json.loads(packed[1])["maps"]]
    rollouts = ["rollout", "rollout without the first token"]
    assert names == ["mean of all layers", *rollouts, *(f"layer {n}" for n in range(N_LAYERS))]


def test_a_page_of_layers_has_a_row_for_each_and_marks_the_answer(
    line: CommandLine, model: Path, tmp_path: Path
) -> None:
    inspect(line, model, "layers", "--top", "3", "--html", "page.html", TEXT)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr><th>layer (\d+)</th>(.*?)</tr>", page)
    assert [int(number) for number, _ in rows] == list(range(N_LAYERS))
    assert [cells.count("<td") for _, cells in rows] == [3] * N_LAYERS
    last = facts(line, model, "layers", "--top", "3", TEXT)["layers"][-1]["candidates"]
    shares = re.findall(r'style="--share:([\d.]+)" title="([^"]+)"', rows[-1][1])
    assert [float(title) for _, title in shares] == [each["probability"] for each in last]
    assert rows[-1][1].startswith('<td class="guess choice"')


def test_a_server_is_not_asked(line: CommandLine, model: Path) -> None:
    outcome = inspect(line, model, "next", TEXT, env={"OPENAI_BASE_URL": "http://localhost:9/v1"})
    assert outcome.code == 0
    assert "http://localhost:9/v1 is not asked" in outcome.err


def test_a_model_without_a_template_has_no_chat(line: CommandLine, tmp_path: Path) -> None:
    raw = write_tiny_model(tmp_path / "raw.gguf", template=None)
    outcome = inspect(line, raw, "next", "--chat", "hello")
    assert outcome.code == 1
    assert "no chat template" in outcome.error_lines[0]


def typed(line: CommandLine, model: Path, keys: str, *options: str) -> Outcome:
    """`aigc inspect step` with these lines typed at a terminal; the result goes to a pipe."""
    return line.run("inspect", "step", "-m", str(model), *options, "hello", typed=keys.encode())


def choices(outcome: Outcome) -> list[str]:
    return re.findall(r"choice: (\S+)", outcome.err)


def test_a_step_takes_the_choice_or_another_one_and_goes_back(line: CommandLine, model: Path) -> None:
    straight = typed(line, model, "\n\nq\n")
    assert (straight.code, len(choices(straight))) == (0, 3)
    astray = typed(line, model, "\n3\nu\n\nq\n")
    assert choices(astray)[0:2] == choices(straight)[0:2]
    assert choices(astray)[2] != choices(astray)[1] or astray.err.count("hello") > 3
    assert (choices(astray)[3], choices(astray)[4]) == (choices(straight)[1], choices(straight)[2])
    assert astray.out == straight.out != ""


def test_a_step_back_from_the_beginning_and_a_wrong_word_change_nothing(
    line: CommandLine, model: Path
) -> None:
    outcome = typed(line, model, "u\n99\nwhat\nq\n")
    assert "this is the beginning" in outcome.err
    assert "99: there are the numbers 1 to 8" in outcome.err
    assert (outcome.code, outcome.out, len(choices(outcome))) == (0, "", 1)


def test_running_on_ends_with_the_window(line: CommandLine, model: Path) -> None:
    outcome = typed(line, model, "g\nu\n\n\n", "--context", "512", "--top", "2")
    assert outcome.code == 0, outcome.err
    assert "the context window is full" in outcome.err
    assert len(outcome.out) > 200


def test_drawn_steps_are_the_same_for_the_same_seed(line: CommandLine, model: Path) -> None:
    options = ("--temperature", "1.5", "--top-k", "40", "--seed", "7")
    first, second = typed(line, model, "\n\n\nq\n", *options), typed(line, model, "\n\n\nq\n", *options)
    assert choices(first) == choices(second)
    assert first.out == second.out


def test_stepping_needs_somebody_to_type(line: CommandLine, model: Path) -> None:
    outcome = inspect(line, model, "step", "hello", stdin=b"\n\n")
    assert (outcome.code, outcome.error_lines[0]) == (2, "aigc: error: step needs a terminal to type at")
