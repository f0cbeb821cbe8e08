"""What guessing ahead and drawing together bring, against plain decoding with the same weights, in turns.

    python -m benchmarks.speculation MODEL.gguf [--repack] [--rounds N] [--only edit,fresh,candidates]

edit: files of the standard library (60 to 190 lines) changed as `aigc edit` changes them; the plain rate is
    that of the first 256 tokens of the same reply, which are its fastest.
fresh: replies that copy nothing, with speculation on, over the same with it off.
candidates: what `aigc gen` asks for, with a prompt that was not read before: four replies of 150 tokens drawn
    together, over one. Also told: the same without the time that the prompt takes.
Bars: edit at least 1.8 times the plain rate, fresh at most 2 % slower, four in at most 2.5 times one's time.
Medians of the ratios of neighbouring runs. One round takes 5 to 7 minutes with a 1.5B model on two cores.
"""

import importlib.util
import statistics
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aigc_cli.chat.prompt import SYSTEM_PROMPT, Attachment
from aigc_cli.engine.base import Chat, Message, Request, Sampling
from aigc_cli.engine.connect import recommended_sampling
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.events import Done
from aigc_cli.models.catalog import load_catalog
from aigc_cli.tasks.edit import EditTask, edit_request
from aigc_cli.tasks.generate import FileTask, file_request
from aigc_cli.tasks.languages import language_called, language_of
from aigc_cli.tasks.repair import RETRY_TEMPERATURE
from aigc_cli.tasks.text_file import TextFile, read_text_file
from benchmarks.arguments import repack_parser

if TYPE_CHECKING:
    from collections.abc import Callable

N_CTX, N_REPLY, N_CANDIDATES, N_PLAIN = 8192, 150, 4, 256
EDITS = (
    ("keyword", "Add a function is_any(s) that is true for keywords and soft keywords."),
    ("json.tool", "Add an option --width that is an integer with a default of 80."),
    ("bisect", "Rename the parameter x to item everywhere."),
    ("fnmatch", "In filter, raise a TypeError when pat is not a string or bytes."),
    ("getpass", "Rename the function fallback_getpass to plain_getpass."),
)
DESCRIPTION = "A class for a bank account with deposit, withdraw, transfer and a history of what was done."
DEFAULT_MODEL = "qwen2.5-coder-1.5b"  # with its sampling replies are drawn
N_MANY = 1000  # numbers apart, so that no two requests have the same one
QUESTIONS = (
    "Explain what a binary search tree is, and when it is the wrong choice.",
    "Write a Python class for a bank account with deposit, withdraw and a history.",
    "用中文解释什么是哈希表。",
)


def edit_of(module: str, instruction: str) -> Request:
    """What `aigc edit` asks for a module of the standard library."""
    file = _read_module(module)
    task = EditTask(file, instruction, language_of(file.path.name, file.text[:200]))
    return edit_request(task, None, Sampling(temperature=0, max_tokens=3000))


def _read_module(name: str) -> TextFile:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"this Python has no {name}")
    return read_text_file(Path(spec.origin), name)


def question(text: str, **sampling: float) -> Request:
    """A question whose answer copies nothing."""
    return Request(Chat((Message("user", text),)), Sampling(seed=1, max_tokens=N_REPLY, **sampling))  # type: ignore[arg-type]


def run(engine: LlamaEngine, request: Request) -> Done:
    """The longest-lived reply of a request, its prompt read before."""
    list(engine.stream(replace(request, sampling=replace(request.sampling, max_tokens=1), candidates=1)))
    return [event for event in engine.stream(request) if isinstance(event, Done)][-1]


def new_file(number: int, module: str | None = None) -> Request:
    """What `aigc gen` asks for; the number keeps prompts from sharing more than a few tokens.

    With a module of the standard library its tests are asked for, and it is attached.
    """
    python = language_called("python")
    task = FileTask(DESCRIPTION, (), "account.py", python)
    if module:
        attached = Attachment(f"{module}.py", _read_module(module).text)
        task = FileTask(f"Tests for {module}.py with unittest.", (attached,), f"test_{module}.py", python)
    recommended = recommended_sampling(load_catalog().find(DEFAULT_MODEL))
    sampling = replace(recommended, temperature=RETRY_TEMPERATURE, seed=number, max_tokens=N_REPLY)
    return file_request(task, f"{number}. {SYSTEM_PROMPT}", sampling)


def run_unread(engine: LlamaEngine, request: Request) -> Done:
    """The reply that ends last, its prompt read in the same request."""
    return [event for event in engine.stream(request) if isinstance(event, Done)][-1]


def request_s(done: Done) -> float:
    """Seconds from the request to its end."""
    return done.stats.prefill_s + done.stats.decode_s


def step_s(done: Done) -> float:
    """Seconds a token."""
    return done.stats.decode_s / done.stats.reply_tokens


def measure_edits(drafting: LlamaEngine, plain: LlamaEngine, rounds: int) -> float:
    """Median speed of edits over the plain speed."""
    ratios = []
    for _ in range(rounds):
        for module, instruction in EDITS:
            request = edit_of(module, instruction)
            beginning = replace(request, sampling=replace(request.sampling, max_tokens=N_PLAIN))
            slow, fast = run(plain, beginning), run(drafting, request)
            ratios.append(step_s(slow) / step_s(fast))
            print(
                f"  {module}: {fast.stats.reply_tokens} tokens, {fast.stats.accepted_tokens} of "
                f"{fast.stats.drafted_tokens} drafted ones accepted, {1 / step_s(fast):.1f} tokens/s, plain "
                f"{1 / step_s(slow):.1f}: {ratios[-1]:.2f} times as fast",
                file=sys.stderr,
                flush=True,
            )
    return statistics.median(ratios)


def measure_fresh(drafting: LlamaEngine, plain: LlamaEngine, rounds: int) -> float:
    """Median time a token without copies, over the plain time."""
    ratios = []
    for number in range(2 * rounds):
        for text in QUESTIONS:
            request = question(text, temperature=0.7)
            engines = (plain, drafting) if number % 2 else (drafting, plain)
            times = {id(engine): step_s(run(engine, request)) for engine in engines}
            ratios.append(times[id(drafting)] / times[id(plain)])
    return statistics.median(ratios)


def measure_candidates(engine: LlamaEngine, rounds: int) -> float:
    """Median time of four candidates over that of one, both of full length."""
    whole, decode = [], []
    for number in range(1, 2 * rounds + 1):
        one = run_unread(engine, new_file(number))
        four = run_unread(engine, replace(new_file(number + N_MANY), candidates=N_CANDIDATES))
        whole.append(request_s(four) / request_s(one))
        decode.append(step_s(four) / step_s(one))
    n_prompt, without = one.stats.prompt_tokens, statistics.median(decode)
    print(f"  {n_prompt} tokens of a prompt; without them {without:.2f}", file=sys.stderr, flush=True)
    return statistics.median(whole)


def main() -> None:
    """Measure and print the table."""
    parser = repack_parser(__doc__, rounds=1)
    parser.add_argument("--only", default="edit,fresh,candidates")
    arguments = parser.parse_args()
    path = arguments.model
    options = EngineOptions(path, path.stem, N_CTX, arguments.threads, repack_weights=arguments.repack)
    rows: dict[
        str, tuple[str, Callable[[LlamaEngine, LlamaEngine, int], float], str, Callable[[float], bool]]
    ] = {
        "edit": ("edit: rate over the plain rate", measure_edits, ">= 1.8", lambda x: x >= 1.8),
        "fresh": (
            "no copies: time a token over the plain time",
            measure_fresh,
            "<= 1.02",
            lambda x: x <= 1.02,
        ),
        "candidates": (
            "four candidates: time over that of one",
            lambda _, plain, rounds: measure_candidates(plain, rounds),
            "<= 2.5",
            lambda x: x <= 2.5,
        ),
    }
    print(f"| {path.name} | measured | bar | |\n|---|---|---|---|")
    for name in arguments.only.split(","):
        what, measure, bar, holds = rows[name]
        # new engines for each: attention goes over the cells of earlier conversations too
        with (
            closing(LlamaEngine(options, time.perf_counter)) as drafting,
            closing(LlamaEngine(replace(options, speculate=False), time.perf_counter)) as plain,
        ):
            value = measure(drafting, plain, arguments.rounds)
        print(f"| {what} | {value:.2f} | {bar} | {'yes' if holds(value) else 'NO'} |", flush=True)


if __name__ == "__main__":
    main()
