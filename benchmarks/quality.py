"""How good generated files are, through the real command: `python -m benchmarks.quality mbpp PROBLEMS.jsonl`.

`mbpp`: each problem is asked with its first test shown as an example, (a) one greedy draft, (b) with
`--run-examples`. All tests of the problem then score what came out. `gen`: the prompts of prompts_gen.toml;
how many files parse at the first try, after a repair, or not at all.

Results are appended to a file of JSON lines as they come; what is there already is not run again.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_cli.cli.app import run
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.local_engine import open_local_engine
from aigc_cli.config import Directories, Settings
from aigc_cli.engine.base import Engine
from aigc_cli.engine.passing import PassingEngine

SEED = 1
TEST_LIMIT_S = 20
PROMPTS = Path(__file__).with_name("prompts_gen.toml")
MODES = {
    "greedy": ["--temperature", "0", "--tries", "1"],
    "examples": ["--run-examples", "--seed", str(SEED)],
}


class _Shared(PassingEngine):
    """An engine that stays open from one command to the next: loading is not what is measured."""

    def close(self) -> None:
        """The next command uses it."""


class _Command:
    """Runs command lines in this process, in a directory of their own."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._shared: _Shared | None = None

    def run(self, *argv: str) -> tuple[int, str, str, float]:
        """Exit code, stdout, stderr, seconds."""
        stdout, stderr = io.StringIO(), io.StringIO()
        env = dict(os.environ)
        app = AppContext(
            stdin=io.StringIO(""),
            stdout=stdout,
            stderr=stderr,
            cwd=Path.cwd(),
            env=env,
            directories=Directories.from_environment(env),
            clock=time.monotonic,
            now=time.time,
            engine_factory=self._open,
        )
        started = time.monotonic()
        code = run([*argv, "-m", self._model, "--no-stdin"], app)
        return code, stdout.getvalue(), stderr.getvalue(), time.monotonic() - started

    def _open(self, app: AppContext, settings: Settings) -> Engine:
        if self._shared is None:
            self._shared = _Shared(open_local_engine(app, settings))
        return self._shared


@dataclass(frozen=True)
class _Results:
    """What is known already, by key."""

    file: Path

    def read(self) -> dict[str, dict[str, Any]]:
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        return {result["key"]: result for result in map(json.loads, lines)}

    def add(self, result: dict[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result, ensure_ascii=False) + "\n")


def why_it_fails(code: str, problem: dict[str, Any]) -> str:
    """Run all tests of a problem; empty when they pass."""
    script = "\n".join([code, *problem["test_imports"], *problem["test_list"]])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scored.py")
        file.write_text(script, encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, "-I", str(file)],
                cwd=folder, input=b"", capture_output=True, timeout=TEST_LIMIT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"no end after {TEST_LIMIT_S} s"
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    if done.returncode == 0:
        return ""
    failed = next((line for line in reversed(lines) if line.startswith("assert ")), "")
    return f"{lines[-1] if lines else 'killed'} {failed}".strip()


def run_mbpp(
    command: _Command, problems: Sequence[dict[str, Any]], results: _Results, modes: Sequence[str]
) -> None:
    """Ask what is not in the results yet."""
    known = results.read()
    for problem in problems:
        prompt = f"{problem['prompt']}\n\nFor example:\n{problem['test_list'][0]}"
        for mode in modes:
            key = f"{mode}:{problem['task_id']}"
            if key in known:
                continue
            line = ["gen", prompt, "-o", "-", "--lang", "python", "--json", *MODES[mode]]
            exit_code, out, err, seconds = command.run(*line)
            report: dict[str, Any] = (
                json.loads(out) if out.strip() else {"code": "", "tries": [], "tokens": {}}
            )
            reason = why_it_fails(report["code"], problem) if report["code"] else err.strip() or "no code"
            results.add(
                {
                    "key": key,
                    "mode": mode,
                    "task_id": problem["task_id"],
                    "passed": not reason,
                    "reason": reason,
                    "exit_code": exit_code,
                    "seconds": round(seconds, 2),
                    "tokens": report["tokens"],
                    "tries": report["tries"],
                    "code": report["code"],
                }
            )
            print(f"{key}: {'passed' if not reason else reason[:100]} ({seconds:.0f} s)", flush=True)


def show_mbpp(results: _Results) -> None:
    """Pass rates, tokens and time by mode; then each lost problem with its reason."""
    by_mode: dict[str, list[dict[str, Any]]] = {}
    for result in results.read().values():
        by_mode.setdefault(result["mode"], []).append(result)
    print("\n| mode | problems | passed | reply tokens | s a problem | exit 5 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for mode, rows in by_mode.items():
        passed = sum(row["passed"] for row in rows)
        tokens = sum(row["tokens"].get("reply", 0) for row in rows)
        seconds = sum(row["seconds"] for row in rows)
        refused = sum(row["exit_code"] == 5 for row in rows)
        print(
            f"| {mode} | {len(rows)} | {passed} ({100 * passed / len(rows):.0f} %) | {tokens:,} "
            f"| {seconds / len(rows):.1f} | {refused} |"
        )
    both = [{row["task_id"]: row for row in by_mode.get(mode, [])} for mode in MODES]
    shared = both[0].keys() & both[1].keys()
    if shared:
        greedy, examples = (sum(rows[key]["passed"] for key in shared) for rows in both)
        print(f"\nof {len(shared)} problems run both ways: {greedy} and {examples} pass")
    for row in by_mode.get("examples", []):
        if not row["passed"]:
            how = "the shown example failed too" if row["exit_code"] else "the shown example passed"
            print(f"- lost {row['task_id']} after {len(row['tries'])} tries, {how}: {row['reason'][:160]}")


def run_gen(command: _Command, results: _Results, limit: int) -> None:
    """Write each file of the table of prompts."""
    known = results.read()
    prompts = tomllib.loads(PROMPTS.read_text(encoding="utf-8"))["file"]
    for prompt in prompts[:limit]:
        key = f"{prompt['name']}: {prompt['prompt']}"
        if key in known:
            continue
        line = ["gen", prompt["prompt"], "-o", prompt["name"], "--json", "--seed", str(SEED), "--dry-run"]
        exit_code, out, err, seconds = command.run(*line)
        report: dict[str, Any] = json.loads(out) if out.strip() else {"tries": [], "language": "", "code": ""}
        result = {
            "key": key,
            "language": report["language"],
            "exit_code": exit_code,
            "n_tries": len(report["tries"]),
            "doubts": [each["doubt"] for each in report["tries"] if each["doubt"]],
            "said": [check["said"] for each in report["tries"] for check in each["checks"] if check["said"]],
            "seconds": round(seconds, 2),
            "code": report["code"],
            "error": err.strip() if exit_code else "",
        }
        results.add(result)
        print(f"{key[:70]}: exit {exit_code}, {result['n_tries']} tries ({seconds:.0f} s)", flush=True)


def show_gen(results: _Results) -> None:
    """By language: at the first try, repaired, neither; and those that the grammar doubts in the end."""
    rows = list(results.read().values())
    print("\n| language | prompts | first try | repaired | not | doubted |")
    print("| --- | --- | --- | --- | --- | --- |")
    for language in [*sorted({row["language"] for row in rows}), None]:
        of_it = [row for row in rows if language is None or row["language"] == language]
        good = [row for row in of_it if row["exit_code"] == 0]
        first = sum(row["n_tries"] == 1 for row in good)
        repaired = len(good) - first
        doubted = sum(bool(row["doubts"]) and len(row["doubts"]) == row["n_tries"] for row in good)
        name = language or "all"
        print(f"| {name} | {len(of_it)} | {first} | {repaired} | {len(of_it) - len(good)} | {doubted} |")
    for row in rows:
        if row["exit_code"]:
            print(f"- {row['key'][:90]}: {row['error'][-200:]}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=["mbpp", "gen"])
    parser.add_argument("problems", nargs="?", type=Path, help="JSON lines, for mbpp")
    parser.add_argument("-m", "--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--results", type=Path, required=True, help="a file of JSON lines; may be begun")
    parser.add_argument("--limit", type=int, default=10**9)
    parser.add_argument("--mode", action="append", choices=MODES, help="for mbpp; both without it")
    parser.add_argument("--show", action="store_true", help="only show the results that are there")
    arguments = parser.parse_args()
    results, command = _Results(arguments.results.resolve()), _Command(arguments.model)
    if not arguments.show and arguments.table == "mbpp":
        lines = arguments.problems.read_text(encoding="utf-8").splitlines()
        problems = [json.loads(line) for line in lines if line.strip()][: arguments.limit]
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            run_mbpp(command, problems, results, arguments.mode or list(MODES))
            os.chdir("/")
    elif not arguments.show:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            run_gen(command, results, arguments.limit)
            os.chdir("/")
    (show_mbpp if arguments.table == "mbpp" else show_gen)(results)


if __name__ == "__main__":
    main()
