"""The real command line with a scripted model, as a program: for subprocesses and pseudo-terminals.

    argv = scripted_argv(tmp_path, replies=["hello"], delay_s=0.05)
    subprocess.run([*argv, "ask", "hi"], ...)

The script is a JSON file. `replies` are said in order (`{prompt}` in a reply becomes the last message), the
other knobs are those of ScriptedEngine. Each request that the engine sees becomes a line of JSON in
`<script>.requests`:
`{"messages": [[role, content], ...], "reply_prefix": ..., "sampling": {...}, "constraint": ...}`.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aigc_cli.__main__ import run_process
from aigc_cli.cli.context import AppContext
from aigc_cli.config import Settings
from aigc_cli.engine.base import Chat, EngineInfo, Infill, Request, Text
from aigc_cli.events import FinishReason
from tests.scripted_engine import Reply, ScriptedEngine

_ROOT = Path(__file__).parents[1]


def scripted_argv(folder: Path, **script: Any) -> list[str]:
    """Write a script and give the command that plays it; append the arguments of aigc."""
    path = folder / "script.json"
    path.write_text(json.dumps(script), encoding="utf-8")
    # the directory of this repository instead of -c's own, so that `tests` is found from anywhere
    start = f"import sys; sys.path[0] = {str(_ROOT)!r}; from tests.scripted_aigc import main; main()"
    return [sys.executable, "-c", start, str(path)]


def seen_requests(folder: Path) -> list[dict[str, Any]]:
    """What the engine of `scripted_argv` was asked so far."""
    path = folder / "script.json.requests"
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")  # the last line may be just being written
    return [json.loads(line) for line in whole.splitlines()]


def main() -> None:
    script = Path(sys.argv[1])
    knobs: dict[str, Any] = json.loads(script.read_text(encoding="utf-8"))
    record = script.with_name(script.name + ".requests")

    def open_engine(_app: AppContext, settings: Settings) -> ScriptedEngine:
        return _scripted_engine(dict(knobs), settings, record)

    sys.exit(run_process(sys.argv[2:], open_engine))


def _scripted_engine(knobs: dict[str, Any], settings: Settings, record: Path) -> ScriptedEngine:
    n_ctx = settings.context or knobs.pop("n_ctx", 4096)
    knobs.pop("n_ctx", None)
    finish_reason = FinishReason(knobs.pop("finish_reason", "stop"))
    replies = [_recorded(reply, record) for reply in knobs.pop("replies", ["ok"])]
    info = EngineInfo(model=settings.model or "scripted", n_ctx=n_ctx)
    return ScriptedEngine(replies, info, finish_reason=finish_reason, **knobs)


def _recorded(template: str, record: Path) -> Reply:
    def reply(request: Request) -> str:
        with record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_as_json(request)) + "\n")
        return template.replace("{prompt}", _last_words(request))

    return reply


def _last_words(request: Request) -> str:
    match request.prompt:
        case Chat(messages):
            return messages[-1].content
        case Text(text):
            return text
        case Infill(prefix):
            return prefix


def _as_json(request: Request) -> dict[str, Any]:
    seen: dict[str, Any] = {"sampling": asdict(request.sampling)}
    if isinstance(request.prompt, Chat):
        seen["messages"] = [[m.role, m.content] for m in request.prompt.messages]
        seen["reply_prefix"] = request.prompt.reply_prefix
    seen["constraint"] = asdict(request.constraint) if request.constraint else None
    return seen


if __name__ == "__main__":
    main()
