"""A reply of thousands of tokens on the terminal: when each token was shown, as JSON on standard error.

    python -m benchmarks.long_reply MODEL.gguf TOKENS

The text is code in one fence, which a terminal has to highlight. Nothing is guessed ahead, so that each token
is one step, and a reply that repeats itself is not stopped: the length is what is measured.
"""

import json
import os
import sys
import time
from pathlib import Path

from aigc_cli.engine.base import Request, Sampling, Text
from aigc_cli.engine.engine_options import EngineOptions
from aigc_cli.engine.llama import LlamaEngine
from aigc_cli.events import Delta
from aigc_cli.models.machine import this_machine
from aigc_cli.render.console import ColorDepth, TerminalTraits
from aigc_cli.render.terminal import TerminalView

N_CTX = 8192
MOST_STARTS = 20
# A greedy model goes on like this for ever.
PROMPT = "".join(
    f"def add_{n}(value: int) -> int:\n    # adds {n} and nothing else\n    return value + {n}\n\n\n"
    for n in range(1, 5)
)


def main() -> None:
    path, n_tokens = Path(sys.argv[1]), int(sys.argv[2])
    options = EngineOptions(
        path, path.stem, N_CTX, this_machine().n_cores, guard_loops=False, speculate=False
    )
    engine = LlamaEngine(options, time.perf_counter)
    traits = TerminalTraits(is_terminal=True, depth=ColorDepth.TRUECOLOR, moves_cursor=True)
    view = TerminalView(sys.stdout, traits=traits, theme="dark", size=lambda: os.get_terminal_size(1))
    view.show(Delta("```python\n"))
    text, stamps = PROMPT, list[float]()
    for _ in range(MOST_STARTS):  # once, unless the model finds that the file ends here
        if len(stamps) >= n_tokens:
            break
        sampling = Sampling(temperature=0, max_tokens=n_tokens - len(stamps))
        for event in engine.stream(Request(Text(text), sampling)):
            if isinstance(event, Delta):
                view.show(event)
                stamps += [time.perf_counter()] * event.n_tokens
                text += event.text
        text += f"\n\n\n{PROMPT}"
    view.close()
    engine.close()
    print(json.dumps(stamps), file=sys.stderr)


if __name__ == "__main__":
    main()
