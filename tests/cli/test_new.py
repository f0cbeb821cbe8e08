import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from aigc_cli.engine.base import Chat, EngineInfo, JsonSchema, Request
from aigc_cli.errors import EngineError
from aigc_cli.events import FinishReason
from tests.cli.command_line import CommandLine, Outcome
from tests.scripted_engine import Reply, ScriptedEngine

DB = "def load(name: str) -> list:\n    return [name]\n"
APP = "from db import load\n\nprint(load('a'))\n"
BAD = "def broken(:\n"


def planned(*files: tuple[str, list[str]], run: tuple[str, ...] = ("python app.py",)) -> str:
    listed = [
        {"path": path, "language": "python", "purpose": f"about {path}", "depends_on": uses}
        for path, uses in files
    ]
    return json.dumps({"files": listed, "run": [*run]})


PLAN = planned(("app.py", ["db.py"]), ("db.py", []))
TREE = "shop/\n├── db.py      ok\n├── app.py     ok\n└── README.md  ok\n"


def new(aigc: CommandLine, *words: str, replies: list[Reply]) -> Outcome:
    aigc.engine = ScriptedEngine(replies)
    return aigc.run("new", *words, stdin=b"")


def requests(aigc: CommandLine) -> list[Request]:
    return aigc.engines[-1].requests


def asked(aigc: CommandLine, index: int) -> str:
    prompt = requests(aigc)[index].prompt
    assert isinstance(prompt, Chat)
    return prompt.messages[-1].content


def read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def files_below(folder: str) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_a_plan_then_its_files_in_order_then_a_readme(aigc: CommandLine) -> None:
    outcome = new(aigc, "shop", "a shop", "-y", replies=[PLAN, DB, APP])
    assert (outcome.code, outcome.out) == (0, TREE)
    assert outcome.err == "aigc: [1/2] db.py\naigc: [2/2] app.py\n"
    assert (read("shop/db.py"), read("shop/app.py")) == (DB, APP)
    assert files_below("shop") == ["README.md", "app.py", "db.py"]
    assert read("shop/README.md") == (
        "# shop\n\na shop\n\n## Files\n\n- `db.py`: about db.py\n- `app.py`: about app.py\n\n"
        "## How to run it\n\n```sh\npython app.py\n```\n"
    )


def test_the_plan_is_bound_and_each_file_knows_the_plan_and_what_it_uses(aigc: CommandLine) -> None:
    Path("notes.txt").write_text("the notes\n", encoding="utf-8")
    new(aigc, "shop", "a shop", "-y", "-f", "notes.txt", replies=[PLAN, DB, APP])
    plan, first, second = requests(aigc)
    assert isinstance(plan.constraint, JsonSchema)
    assert (first.constraint, second.sampling.temperature) == (None, 0.0)
    assert all("a shop" in asked(aigc, n) and "the notes" in asked(aigc, n) for n in range(3))
    assert "- db.py: about db.py\n- app.py: about app.py" in asked(aigc, 1)
    assert DB not in asked(aigc, 1)
    assert f"db.py:\n```python\n{DB}```" in asked(aigc, 2)
    assert "It uses db.py" in asked(aigc, 2)


def test_of_a_long_file_the_others_see_what_it_defines(aigc: CommandLine) -> None:
    long = DB + "\n\ndef other():\n" + "    a = 1\n" * 500
    new(aigc, "shop", "a shop", "-y", replies=[PLAN, long, APP])
    assert "db.py (what it defines):\n```python\ndef load(name: str) -> list:\ndef other():\n```" in asked(
        aigc, 2
    )
    assert "a = 1" not in asked(aigc, 2)


def test_a_small_window_leaves_other_files_out_rather_than_the_room_to_write(aigc: CommandLine) -> None:
    wide = DB + "".join(f"def f{n}(a):\n    return a\n" for n in range(100))
    aigc.engine = ScriptedEngine([PLAN, wide, APP], EngineInfo("m", 700))
    assert aigc.run("new", "shop", "a shop", "-y", stdin=b"").code == 0
    assert "f1(a)" not in asked(aigc, 2)


def test_chinese_in_chinese_out(aigc: CommandLine) -> None:
    plan = planned(("源码/主.py", []), run=())
    outcome = new(aigc, "商店", "一个商店", "-y", replies=[plan, "print('你好')\n"])
    assert outcome.code == 0
    assert read("商店/源码/主.py") == "print('你好')\n"
    assert "## 文件" in read("商店/README.md")


# The plan


def test_the_dry_run_prints_the_plan_and_writes_nothing(aigc: CommandLine) -> None:
    outcome = new(aigc, "shop", "a shop", "--dry-run", replies=[PLAN])
    assert outcome.out == (
        "shop/\n├── db.py      about db.py\n├── app.py     about app.py\n└── README.md\n$ python app.py\n"
    )
    assert (outcome.code, Path("shop").exists(), len(requests(aigc))) == (0, False, 1)


def test_a_bad_plan_is_made_once_more_and_what_stays_bad_is_left_out(aigc: CommandLine) -> None:
    bad = planned(("../evil.py", []), ("db.py", []), ("CON", []))
    outcome = new(aigc, "shop", "a shop", "-y", replies=[bad, planned(("/etc/x", []), ("db.py", [])), DB])
    assert outcome.code == 0
    assert "the plan is not sound ('../evil.py': it leads out of the project); once more" in outcome.err
    assert "left out of the plan: '/etc/x': it leads out of the project" in outcome.err
    assert "'CON': 'CON' is a device on Windows" in asked(aigc, 1)
    assert files_below(".") == ["shop/README.md", "shop/db.py"]


def test_no_plan_at_all_exits_with_5_and_writes_nothing(aigc: CommandLine) -> None:
    outcome = new(aigc, "shop", "a shop", "-y", replies=["nonsense"])
    assert (outcome.code, Path("shop").exists(), len(requests(aigc))) == (5, False, 2)


@pytest.mark.parametrize(
    ("typed", "code"), [("y\n", 0), ("n\n", 130), ("", 130), ("\n好\n", 0), ("what\nq\n", 130)]
)
def test_the_person_is_asked(aigc: CommandLine, typed: str, code: int) -> None:
    aigc.engine = ScriptedEngine([PLAN, DB, APP])
    outcome = aigc.run("new", "shop", "a shop", terminal=True, typed=typed.encode())
    assert (outcome.code, Path("shop").exists()) == (code, code == 0)
    assert "write 2 files? [y,n,e] " in outcome.err


def test_the_person_changes_the_plan_in_an_editor(aigc: CommandLine) -> None:
    editor = Path("editor.sh")
    editor.write_text('#!/bin/sh\nsed -i s/app.py/main.py/ "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    aigc.engine = ScriptedEngine([PLAN, DB, APP])
    env = {"EDITOR": str(editor.resolve())}
    outcome = aigc.run("new", "shop", "a shop", terminal=True, typed=b"e\ny\n", env=env)
    assert outcome.code == 0
    assert files_below("shop") == ["README.md", "db.py", "main.py"]


def test_without_a_terminal_it_wants_a_yes_before_a_model_is_loaded(aigc: CommandLine) -> None:
    outcome = new(aigc, "shop", "a shop", replies=[PLAN])
    assert (outcome.code, aigc.engines) == (2, [])
    assert "-y" in outcome.err


@pytest.mark.parametrize(
    "words",
    [(), ("shop", "--resume", "a prompt"), ("shop", "--resume", "--dry-run"), ("shop", "-y", "--no-stdin")],
)
def test_a_line_that_makes_no_sense(aigc: CommandLine, words: tuple[str, ...]) -> None:
    outcome = new(aigc, *words, replies=[PLAN])
    assert (outcome.code, aigc.engines, len(outcome.error_lines)) == (2, [], 2)


def test_only_a_new_or_an_empty_directory_is_used(aigc: CommandLine) -> None:
    Path("full").mkdir()
    Path("full/mine.py").write_text("x", encoding="utf-8")
    Path("file").write_text("x", encoding="utf-8")
    Path("empty").mkdir()
    for name, reason in {"full": "is not empty", "file": "is a file", "no/where": "no directory"}.items():
        outcome = new(aigc, name, "a shop", "-y", replies=[PLAN])
        assert (outcome.code, aigc.engines) == (1, [])
        assert reason in outcome.err
    assert new(aigc, "empty", "a shop", "-y", replies=[PLAN, DB, APP]).code == 0


# Checks


def test_a_file_that_does_not_parse_is_repaired(aigc: CommandLine) -> None:
    outcome = new(aigc, "shop", "a shop", "-y", replies=[PLAN, BAD, DB, DB, DB, DB, APP])
    assert (outcome.code, outcome.out) == (0, TREE)
    assert "try 1 of 3: no valid Python" in outcome.err


def test_a_file_that_never_passes_is_a_draft_and_the_others_are_written(aigc: CommandLine) -> None:
    outcome = new(aigc, "shop", "a shop", "-y", "--tries", "1", replies=[PLAN, BAD, APP])
    assert outcome.code == 5
    assert "├── db.py      draft: no valid Python: line 1" in outcome.out
    assert "├── app.py     ok" in outcome.out
    assert "1 of 2 files did not pass: db.py" in outcome.err
    assert files_below("shop") == [".aigc/plan.json", "README.md", "app.py", "db.py.draft"]
    assert "- `db.py`: about db.py (only a draft" in read("shop/README.md")
    # and once more
    outcome = new(aigc, "shop", "--resume", replies=[DB])
    assert (outcome.code, outcome.out) == (0, TREE)
    assert files_below("shop") == ["README.md", "app.py", "db.py"]
    assert "draft" not in read("shop/README.md")


def test_a_readme_that_the_person_changed_stays(aigc: CommandLine) -> None:
    new(aigc, "shop", "a shop", "-y", "--tries", "1", replies=[PLAN, BAD, APP])
    Path("shop/README.md").write_text("mine\n", encoding="utf-8")
    assert new(aigc, "shop", "--resume", replies=[DB]).code == 0
    assert read("shop/README.md") == "mine\n"


def test_names_that_nobody_defines_go_back_to_the_model(aigc: CommandLine) -> None:
    forgot = "class Todo(BaseModel):\n    pass\n\n\nload('a')\n"
    aigc.engine = ScriptedEngine([PLAN, DB, forgot, APP])
    assert aigc.run("new", "shop", "a shop", "-y", stdin=b"").code == 0
    assert read("shop/app.py") == APP
    told = asked(aigc, 3)
    assert "line 1: 'BaseModel' is not defined\nline 5: 'load' is not defined; from db import load" in told


# Interrupted


class Stopping(ScriptedEngine):
    """Ctrl-C, or a crash, at the n-th request."""

    at = 2
    error: Exception | None = None

    def stream(self, request: Request) -> Any:
        if len(self.requests) == self.at:
            if self.error:
                raise self.error
            self.finish_reason = FinishReason.INTERRUPTED
        return super().stream(request)


@pytest.mark.parametrize(("error", "code"), [(None, 130), (EngineError("the engine is gone"), 1)])
def test_what_is_done_stays_and_resume_goes_on(aigc: CommandLine, error: Exception | None, code: int) -> None:
    aigc.engine = Stopping([PLAN, DB, APP])
    aigc.engine.error = error
    outcome = aigc.run("new", "shop", "a shop", "-y", stdin=b"")
    assert outcome.code == code
    assert "aigc new shop --resume goes on" in outcome.err
    assert (
        outcome.out
        == "shop/\n├── db.py      ok\n├── app.py     not written yet\n└── README.md  not written yet\n"
    )
    assert files_below("shop") == [".aigc/plan.json", "db.py"]
    assert "--resume" in new(aigc, "shop", "a shop", "-y", replies=[PLAN]).err
    outcome = new(aigc, "shop", "--resume", replies=[APP])
    assert (outcome.code, outcome.out) == (0, TREE)
    assert "aigc: 1 of 2 files are left to write\n" in outcome.err
    assert (read("shop/db.py"), read("shop/app.py")) == (DB, APP)
    assert f"db.py:\n```python\n{DB}```" in asked(aigc, 0)


def unfinished(aigc: CommandLine) -> dict[str, Any]:
    """A project that was stopped before its first file; gives its state."""
    aigc.engine = Stopping([PLAN, DB, APP])
    aigc.engine.at = 1
    aigc.run("new", "shop", "a shop", "-y", stdin=b"")
    state: dict[str, Any] = json.loads(read("shop/.aigc/plan.json"))
    return state


def test_a_file_that_came_there_otherwise_is_never_overwritten(aigc: CommandLine) -> None:
    unfinished(aigc)
    Path("shop/db.py").write_text("load = 1\n", encoding="utf-8")  # or by a run that was killed right after
    assert new(aigc, "shop", "--resume", replies=[APP]).code == 0
    assert (read("shop/db.py"), read("shop/app.py")) == ("load = 1\n", APP)


def test_a_broken_file_of_the_person_stays_and_is_told(aigc: CommandLine) -> None:
    unfinished(aigc)
    Path("shop/db.py").write_text(BAD, encoding="utf-8")
    outcome = new(aigc, "shop", "--resume", replies=[APP])
    assert (outcome.code, read("shop/db.py")) == (5, BAD)
    assert "it was there already: no valid Python" in outcome.out


def test_a_link_that_was_put_there_is_not_followed(
    aigc: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    plan = planned(("src/db.py", []), ("app.py", []))
    aigc.engine = Stopping([plan])
    aigc.engine.at = 1
    aigc.run("new", "shop", "a shop", "-y", stdin=b"")
    Path("shop/src").symlink_to(outside)
    outcome = new(aigc, "shop", "--resume", replies=[APP])
    assert outcome.code == 5
    assert "src' is a link" in outcome.out
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"plan": {"files": [{"path": "../../evil.py", "purpose": "x", "depends_on": []}], "run": []}},
        {"plan": None},
        {"version": 99},
        {"done": 3},
        {"attachments": [["only one"]]},
        {"prompt": None, "plan": {"files": [{"path": "../x"}, {"path": "ok.py"}]}},
    ],
)
def test_a_state_that_somebody_changed_is_refused(aigc: CommandLine, change: dict[str, Any]) -> None:
    state = unfinished(aigc) | change
    Path("shop/.aigc/plan.json").write_text(json.dumps(state), encoding="utf-8")
    outcome = new(aigc, "shop", "--resume", replies=[APP])
    assert (outcome.code, len(outcome.error_lines)) == (1, 2), outcome.err
    assert not Path("evil.py").exists()


def test_there_is_nothing_to_resume(aigc: CommandLine) -> None:
    outcome = new(aigc, "shop", "--resume", replies=[APP])
    assert (outcome.code, aigc.engines) == (1, [])
    assert "holds no unfinished project" in outcome.err


def test_the_hint_can_be_pasted(aigc: CommandLine) -> None:
    aigc.engine = Stopping([PLAN, DB, APP])
    outcome = aigc.run("new", "my shop", "a shop", "-y", stdin=b"")
    line = outcome.error_lines[1].partition("; ")[2].removesuffix(" goes on")
    assert shlex.split(line) == ["aigc", "new", "my shop", "--resume"]
