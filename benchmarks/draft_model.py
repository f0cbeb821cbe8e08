"""What a draft model brings: replies of a large model with a small one that guesses, and without, in turns.

    python -m benchmarks.draft_model LARGE.gguf SMALL.gguf [--rounds N] [--temperature T] [--idle N --at FILE]

With `--idle N`, LARGE is written to FILE with N idle layers for each of its own, whose output weights are
zero: it says the same and takes N + 1 times as long. So a model as slow as one of 7B can be measured where
only a small one is at hand; the small one agrees with it as it does with LARGE itself. Rates are tokens a
second from the first token on; the ratio is the median over the questions.
"""

import statistics
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gguf

from aigc_cli.engine.base import Chat, Message, Request, Sampling
from aigc_cli.engine.engine_options import DraftOptions, EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.events import Done
from benchmarks.arguments import model_parser

N_CTX, N_REPLY = 2048, 200
QUESTIONS = (
    "Write a Python function that merges two sorted lists.",
    "写一个统计文件中每个单词出现次数的 Python 函数。",
    "Explain in a few sentences what a hash table is.",
    "Write a Go program that serves the current directory over HTTP.",
    "Write a SQL query for the three best customers of each month.",
)
_SILENCED = ("attn_output.weight", "ffn_down.weight")  # what a layer adds to the residual stream


def write_with_idle_layers(source: Path, target: Path, n_idle: int) -> None:
    """A model with idle layers behind its own ones."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    count = f"{architecture}.block_count"
    n_layers = reader.fields[count].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = n_layers * (n_idle + 1) if name == count else field.contents()
        inner = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(name, value, field.types[0], inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    layers = [tensor for tensor in reader.tensors if tensor.name.startswith("blk.")]
    for extra in range(1, n_idle + 1):
        for tensor in layers:
            _, number, part = tensor.name.split(".", 2)
            data = tensor.data * 0 if part in _SILENCED else tensor.data
            name = f"blk.{int(number) + extra * n_layers}.{part}"
            writer.add_tensor(name, data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def run(engine: LlamaEngine, question: str, temperature: float) -> Done:
    """The end of a reply whose prompt was read before."""
    sampling = Sampling(temperature=temperature, max_tokens=N_REPLY, seed=1)
    request = Request(Chat((Message("user", question),)), sampling)
    list(engine.stream(replace(request, sampling=replace(sampling, max_tokens=1))))
    return [event for event in engine.stream(request) if isinstance(event, Done)][-1]


def rate(done: Done) -> float:
    """Tokens a second."""
    return done.stats.reply_tokens / done.stats.decode_s


def main() -> None:
    """Measure and print the table."""
    parser = model_parser(__doc__, rounds=1, models=("large", "small"))
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--idle", type=int, default=0, help="idle layers for each layer of LARGE")
    parser.add_argument("--at", type=Path, help="where the model with idle layers goes")
    arguments = parser.parse_args()
    large = arguments.large
    if arguments.idle:
        large = arguments.at or parser.error("--idle needs --at")
        if not large.exists():
            write_with_idle_layers(arguments.large, large, arguments.idle)
    relative = arguments.small.stat().st_size / large.stat().st_size
    draft = DraftOptions(arguments.small, arguments.small.stem, N_CTX, arguments.threads, relative)
    options = EngineOptions(large, large.stem, N_CTX, arguments.threads)
    print(f"| {large.stem}, {relative:.2f} of it guesses | alone | with drafts | ratio | accepted |")
    print("|---|---|---|---|---|")
    ratios = []
    with (
        closing(LlamaEngine(options, time.perf_counter)) as alone,
        closing(LlamaEngine(replace(options, draft=draft), time.perf_counter)) as helped,
    ):
        for _ in range(arguments.rounds):
            for question in QUESTIONS:
                slow, fast = (run(engine, question, arguments.temperature) for engine in (alone, helped))
                ratios.append(rate(fast) / rate(slow))
                stats = fast.stats
                print(
                    f"| {question} | {rate(slow):.2f} | {rate(fast):.2f} | {ratios[-1]:.2f} "
                    f"| {stats.accepted_tokens} of {stats.drafted_tokens} |",
                    flush=True,
                )
    print(f"| median | | | {statistics.median(ratios):.2f} | |")


if __name__ == "__main__":
    main()
