"""What fixed scenarios cost, counted and not timed: whatever makes one do more work fails here.

The engine is real, the model tiny. Tokens and batches are those that the engine tells of itself, bytes are
what lies on the disk afterwards, modules are those of the command's own process.
"""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aigc_cli.cli.app import run
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.local_engine import open_local_engine
from aigc_cli.config import Directories, Settings
from aigc_cli.engine.base import Request, Sampling, Text
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.events import Delta
from tests.tiny_model import write_tiny_model

N_REPLY = 2  # tokens: too few to guess any ahead, so that it does not matter what they are
SHORT = ("--temperature", "0", "--max-tokens", str(N_REPLY), "--context", "2048", "--threads", "1")
# What it says is random, and the same at each run; in a greedy reply of this model one letter is repeated.
WRITTEN = Sampling(temperature=1.0, top_k=20, seed=4, max_tokens=200)
PROMPT = Text("word " * 40)  # 200 tokens


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token is a byte, whatever the text: counts do not depend on what the model says."""
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny.gguf", ascii_only=True, merges=("ÿ þ",))


@dataclass(frozen=True)
class Work:
    """Tokens evaluated, batches they were evaluated in, kilobytes of KV prefixes written."""

    evaluated: int
    decodes: int
    saved_kb: int = 0


@dataclass
class Machine:
    """Runs commands in this process, each with an engine of its own, on one home."""

    home: Path
    model: Path
    engines: list[LlamaEngine] = field(default_factory=list)

    def run(self, *line: str, stdin: str = "") -> Work:
        """What one command did."""
        stdout, stderr = io.StringIO(), io.StringIO()
        app = AppContext(
            stdin=io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"),
            stdout=stdout,
            stderr=stderr,
            cwd=self.home,
            env={},
            directories=Directories.from_environment({"AIGC_HOME": str(self.home / "aigc")}),
            clock=lambda: 0.0,  # no batch looks cheaper or dearer than the table says
            now=lambda: 0.0,
            engine_factory=self._open,
        )
        before = saved_bytes(self.home)
        assert run([*line, "-m", str(self.model), *SHORT], app) == 0, stderr.getvalue()
        report = self.engines[-1].report()
        return Work(report.n_evaluated, report.n_decodes, (saved_bytes(self.home) - before) // 1000)

    def draw(self, request: Request) -> Work:
        """What one request to a fresh engine did."""
        engine = self._fresh()
        list(engine.stream(request))
        report = engine.report()
        engine.close()
        return Work(report.n_evaluated, report.n_decodes)

    def reply(self, request: Request) -> str:
        """The text of a reply."""
        engine = self._fresh(speculate=False)
        events = list(engine.stream(request))
        engine.close()
        return "".join(event.text for event in events if isinstance(event, Delta))

    def _fresh(self, *, speculate: bool = True) -> LlamaEngine:
        options = EngineOptions(self.model, "tiny", 2048, 1, guard_loops=False, speculate=speculate)
        return LlamaEngine(options, lambda: 0.0)

    def _open(self, app: AppContext, settings: Settings) -> LlamaEngine:
        engine = open_local_engine(app, settings)
        assert isinstance(engine, LlamaEngine)
        self.engines.append(engine)
        return engine


def saved_bytes(home: Path) -> int:
    """Bytes of the KV prefixes on disk."""
    return sum(path.stat().st_size for path in home.rglob("*.kv"))


@pytest.fixture
def machine(tmp_path: Path, model: Path) -> Machine:
    return Machine(tmp_path, model)


def cold(machine: Machine) -> Work:
    return machine.run("ask", "hello")


def again(machine: Machine) -> Work:
    machine.run("ask", "hello")
    return machine.run("ask", "world")


def five_turns(machine: Machine) -> Work:
    return machine.run("chat", stdin="one\ntwo\nthree\nfour\nfive\n")


def resumed(machine: Machine) -> Work:
    five_turns(machine)
    return machine.run("chat", "-c", stdin="six\n")


def four_candidates(machine: Machine) -> Work:
    return machine.draw(Request(PROMPT, Sampling(seed=1, max_tokens=6), candidates=4))


def rewritten(machine: Machine) -> Work:
    """The whole text again, as predicted."""
    text = machine.reply(Request(PROMPT, WRITTEN))
    return machine.draw(Request(PROMPT, WRITTEN, prediction=text))


def edited(machine: Machine) -> Work:
    """As predicted, but for three letters that the model writes in another way."""
    text = machine.reply(Request(PROMPT, WRITTEN))
    return machine.draw(Request(PROMPT, WRITTEN, prediction=f"{text[:150]}XYZ{text[153:]}"))


# Prompts are evaluated in batches of 128 tokens at first, then of 512; a reply's last token is not evaluated.
# A question of five letters makes a prompt of 312 tokens, the first 294 are the same for every question.
SCENARIOS: dict[str, tuple[Callable[[Machine], Work], Work]] = {
    # 312 of the prompt in 2 batches, 1 of the reply; saved: the system prompt, and the whole at the end
    "a question, cold": (cold, Work(313, 3, saved_kb=321)),
    # the first 294 come from the disk: 18 of the question, 1 of the reply; nothing new is worth saving
    "another question, cold": (again, Work(19, 2)),
    # only what is new in each turn, and no reply twice; saved: the system prompt, and the whole at the end
    "a chat of five turns": (five_turns, Work(419, 11, saved_kb=378)),
    # the five turns come from the disk: 25 of the new one, 1 of its reply
    "a sixth turn, resumed": (resumed, Work(26, 2)),
    # the prompt once in 2 batches; then 5 batches of four tokens
    "four candidates": (four_candidates, Work(220, 7)),
    # nothing twice, and 200 tokens in 6 batches
    "a rewriting that was predicted": (rewritten, Work(399, 8)),
    # 10 tokens guessed wrong, and a few steps until the place is found again
    "an edit that was predicted": (edited, Work(407, 12)),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_does_this_much(machine: Machine, scenario: str) -> None:
    play, expected = SCENARIOS[scenario]
    assert play(machine) == expected


AIGC_THEN_MODULES = """
import sys
from aigc_cli.__main__ import run_process
code = run_process(sys.argv[1:])
print(code, *sys.modules, file=sys.stderr)
"""
# Direct dependencies: what those import in turn depends on their versions.
DEPENDENCIES = {
    *(
        "filelock",
        "httpx2",
        "huggingface_hub",
        "jinja2",
        "llama_cpp",
        "markdown_it",
        "numpy",
        "pathspec",
        "pip",
    ),
    *("platformdirs", "prompt_toolkit", "psutil", "pygments", "rich", "starlette", "tree_sitter", "typer"),
    *("uvicorn", "yaml"),
}
# Modules of its own, at most: a few more than there are, so that dividing one does not count as a mistake.
IMPORTS: dict[str, tuple[tuple[str, ...], set[str], int]] = {
    # the command line, sockets and JSON
    "engine loaded": ((), {"typer"}, 95),
    # llama.cpp's bindings bring numpy; psutil sees how much memory there is, jinja2 fills the chat template
    "in its own process": (("--no-resident",), {"typer", "llama_cpp", "numpy", "psutil", "jinja2"}, 91),
}


def command(
    *line: str, code: str = "from aigc_cli.__main__ import main; main()"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def resident(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Engines may stay in the background; none outlives the test."""
    monkeypatch.setenv("AIGC_RESIDENT", "1")
    yield
    command("engine", "stop")


@pytest.mark.usefixtures("resident")
def test_a_second_question_costs_a_loaded_engine_only_what_is_new(model: Path) -> None:
    line = ("-m", str(model), *SHORT)
    work = []
    for question in ("hello", "world"):
        assert command(*line, question).returncode == 0
        (report,) = json.loads(command("engine", "status", "--json").stdout)
        work.append(Work(report["evaluated_tokens"], report["decodes"]))
    first, second = work
    # the same as cold, but that nothing had to come from the disk
    assert (first, second) == (Work(313, 3), Work(313 + 19, 3 + 2))


@pytest.mark.usefixtures("resident")
@pytest.mark.parametrize("way", IMPORTS)
def test_a_question_imports_this_much(way: str, model: Path) -> None:
    options, dependencies, n_own = IMPORTS[way]
    line = ("-m", str(model), *SHORT, *options, "hello")
    command(*line)
    modules = command(*line, code=AIGC_THEN_MODULES).stderr.splitlines()[-1].split()[1:]
    own = [name for name in modules if name.startswith("aigc_cli")]
    assert {name for name in modules if name in DEPENDENCIES} == dependencies
    assert len(own) <= n_own
