"""Peak memory of a question asked while nothing is loaded."""

from collections.abc import Iterator

from benchmarks.home import SHORT_REPLY, Home, peak_mb
from benchmarks.results import Row, at_most
from benchmarks.rivals import LLM, N_CTX, ONE_SHOT, Rival, compare, llm_line, one_shot


def memory(home: Home) -> Iterator[Row]:
    """A cold one-shot: the command with the engine that it starts, and with the model in its own process."""
    words = (*SHORT_REPLY, "--context", N_CTX)

    def with_engine() -> float:
        home.forget_prefixes()
        command = peak_mb(home.line(*words, home.question()), home.env)
        return command + home.engine_peak_mb()

    def alone() -> float:
        return peak_mb(home.line(*words, "--no-resident", home.question()), home.env)

    rivals = [Rival(ONE_SHOT, ONE_SHOT, lambda path: peak_mb(one_shot(home, path), home.env))]
    if home.llm:
        rivals.append(Rival(LLM, "llm", lambda path: peak_mb(llm_line(home, path), home.env)))
    bars = (at_most(0.75, ONE_SHOT),)
    note = "a context of 4,096 tokens; the command and its engine together"
    row = Row("memory", "peak memory of a cold one-shot", "MB", {}, bars, note=note)
    yield compare(row, home.few, with_engine, rivals)
    row = Row("memory-alone", "the same with `--no-resident`", "MB", {}, bars)
    yield compare(row, home.few, alone, rivals[:1])
    home.stop()
