"""What a benchmark's pseudo-terminal sees of a program."""

import json
import os
import sys
from pathlib import Path

from benchmarks.growth import window_ms
from benchmarks.terminal import run_in_terminal
from tests.tiny_model import write_tiny_model


def test_a_program_that_says_much_on_standard_error_is_read_to_its_end() -> None:
    code = "import sys; sys.stderr.write('e' * 500_000); print(sys.stdout.isatty(), flush=True)"
    shown = run_in_terminal((sys.executable, "-c", code), os.environ)
    assert (shown.text.strip(), len(shown.err)) == ("True", 500_000)


def test_a_long_reply_has_a_time_for_each_token(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.gguf", ascii_only=True)
    env = {**os.environ, "GOMP_SPINCOUNT": "0", "PYTHONPATH": str(Path(__file__).parents[2])}
    shown = run_in_terminal((sys.executable, "-m", "benchmarks.long_reply", str(model), "140"), env)
    stamps = json.loads(shown.err.splitlines()[-1])
    assert len(stamps) == 140
    assert window_ms(stamps, 140) > 0
