"""What token probabilities cost, and how well they predict that generated code fails.

    python -m benchmarks.confidence cost MODEL.gguf [--rounds N]
    python -m benchmarks.confidence auc PROBLEMS.jsonl --results FILE -m MODEL.gguf [--drafts EARLIER.jsonl]
    python -m benchmarks.confidence auc --results FILE

cost: one greedy reply drawn with and without probabilities, in turns; the time a token with them over that
without, as a ratio of medians. Bar: at most 1.02.

auc: each problem is asked for as `aigc gen` asks, greedily, and all its tests score the code. Then the area
under the ROC curve of a reply's mean and lowest token probability against passing: how often a reply that
passes ranks above one that fails; 0.5 is a coin. Replies are appended to FILE, JSON lines, as they come; what
is there already is not drawn again. Earlier replies to the same problems (of benchmarks.quality), given as
drafts, make it faster: they are verified, not believed.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aigc_cli.engine.base import Chat, Message, Request, Sampling
from aigc_cli.engine.connect import recommended_sampling
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.events import Delta, Done
from aigc_cli.models.catalog import load_catalog
from aigc_cli.tasks.generate import FileTask, code_of_reply, file_request
from aigc_cli.tasks.languages import language_called
from benchmarks.quality import why_it_fails

QUESTION = Chat((Message("user", "Write a Python class for a bank account with a history."),))
N_CTX, N_REPLY, N_ALTERNATIVES = 4096, 100, 5  # alternatives: what --confidence asks for
N_RESAMPLES, SEED = 10_000, 1


def decode_s(engine: LlamaEngine, request: Request) -> float:
    """Seconds a token."""
    done = next(event for event in engine.stream(request) if isinstance(event, Done))
    return done.stats.decode_s / done.stats.reply_tokens


def measure_cost(engine: LlamaEngine, rounds: int) -> None:
    plain = Request(QUESTION, Sampling(temperature=0, max_tokens=N_REPLY))
    watched = replace(plain, top_logprobs=N_ALTERNATIVES)
    decode_s(engine, plain)  # the prompt is read, the file is in memory
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        order = (plain, watched) if number % 2 else (watched, plain)
        times = {id(request): decode_s(engine, request) for request in order}
        pairs.append((times[id(plain)], times[id(watched)]))
    medians = [1000 * statistics.median(column) for column in zip(*pairs, strict=True)]
    least = [1000 * min(column) for column in zip(*pairs, strict=True)]
    print(f"ms a token: {medians[0]:.2f} without, {medians[1]:.2f} with probabilities (medians of {rounds})")
    print(f"ratio of medians {medians[1] / medians[0]:.3f}, of minima {least[1] / least[0]:.3f}; bar 1.02")


def draw(engine: LlamaEngine, problem: dict[str, Any], draft: str) -> dict[str, Any]:
    """One greedy reply to a problem, scored, with the log-probability of each of its tokens."""
    prompt = f"{problem['prompt']}\n\nFor example:\n{problem['test_list'][0]}"
    task = FileTask(prompt, (), "", language_called("python"))
    request = file_request(task, None, replace(engine.info.sampling, temperature=0, max_tokens=1000))
    request = replace(request, top_logprobs=0, prediction=draft)
    deltas = [event for event in engine.stream(request) if isinstance(event, Delta)]
    code = code_of_reply(task, "".join(delta.text for delta in deltas))
    reason = why_it_fails(code, problem)
    return {
        "task_id": problem["task_id"],
        "passed": not reason,
        "reason": reason,
        "logprobs": [round(token.logprob, 6) for delta in deltas for token in delta.tokens],
        "code": code,
    }


def draw_missing(
    engine: LlamaEngine, problems: Sequence[dict[str, Any]], results: Path, drafts: Mapping[int, str]
) -> None:
    known = {row["task_id"] for row in read_lines(results)}
    for problem in problems:
        if problem["task_id"] in known:
            continue
        row = draw(engine, problem, drafts.get(problem["task_id"], ""))
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(f"{row['task_id']}: {row['reason'][:100] or 'passed'}", flush=True)


def read_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def area_under_curve(scores: Any, passed: Any) -> float:
    """How often a score among the passed is above one among the failed; a tie counts half (Mann-Whitney)."""
    above = scores[passed][:, None] - scores[~passed][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


def interval(scores: Any, passed: Any) -> tuple[float, float]:
    """The 95 % interval of the area by bootstrap over the problems (percentiles)."""
    rng = np.random.default_rng(SEED)
    areas = []
    for _ in range(N_RESAMPLES):
        drawn = rng.integers(len(scores), size=len(scores))
        if 0 < passed[drawn].sum() < len(drawn):
            areas.append(area_under_curve(scores[drawn], passed[drawn]))
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


def show_auc(rows: Sequence[dict[str, Any]]) -> None:
    rows = [row for row in rows if row["logprobs"]]
    passed = np.array([row["passed"] for row in rows])
    print(f"{len(rows)} replies, {passed.sum()} pass")
    scores = {
        "mean": [math.exp(statistics.fmean(row["logprobs"])) for row in rows],
        "lowest": [math.exp(min(row["logprobs"])) for row in rows],
        "length, for comparison: shorter is surer": [-len(row["logprobs"]) for row in rows],
    }
    for name, values in scores.items():
        column = np.array(values, dtype=float)
        low, high = interval(column, passed)
        medians = [float(np.median(column[which])) for which in (passed, ~passed)]
        print(
            f"{name}: AUC {area_under_curve(column, passed):.2f}, 95 % interval {low:.2f} to {high:.2f};"
            f" median {medians[0]:.3g} where it passes, {medians[1]:.3g} where it fails"
        )


def open_engine(model: Path, n_threads: int) -> LlamaEngine:
    sampling = recommended_sampling(load_catalog().find(model.name))
    options = EngineOptions(model, model.stem, N_CTX, n_threads, sampling=sampling)
    return LlamaEngine(options, time.perf_counter)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tables = parser.add_subparsers(dest="table", required=True)
    cost = tables.add_parser("cost")
    cost.add_argument("model", type=Path)
    cost.add_argument("--rounds", type=int, default=10)
    auc = tables.add_parser("auc")
    auc.add_argument("problems", type=Path, nargs="?")
    auc.add_argument("--results", type=Path, required=True)
    auc.add_argument("--drafts", type=Path)
    auc.add_argument("-m", "--model", type=Path)
    for table in (cost, auc):
        table.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.table == "cost":
        with closing(open_engine(given.model, given.threads)) as engine:
            measure_cost(engine, given.rounds)
        return
    if given.problems:
        if not given.model:
            parser.error("-m MODEL.gguf draws the replies")
        with closing(open_engine(given.model, given.threads)) as engine:
            drafts = {row["task_id"]: row["code"] for row in read_lines(given.drafts)} if given.drafts else {}
            draw_missing(engine, read_lines(given.problems), given.results, drafts)
    show_auc(read_lines(given.results))


if __name__ == "__main__":
    main()
