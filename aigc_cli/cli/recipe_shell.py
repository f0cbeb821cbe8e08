"""Recipes whose answer a person takes, changes or leaves: a line for the shell, a message for a commit."""

import json
import subprocess
from collections.abc import Sequence
from contextlib import closing

from aigc_cli.cli.child import run_child
from aigc_cli.cli.editor import edited_by_hand
from aigc_cli.cli.ending import raise_unless_whole
from aigc_cli.cli.recipe_run import RecipeRun
from aigc_cli.cli.reply import prefill_progress, run_reply
from aigc_cli.cli.report import note
from aigc_cli.cli.yes_no import is_yes
from aigc_cli.engine.base import Constraint, JsonSchema, Request
from aigc_cli.errors import EngineError, ExitCode, UsageError
from aigc_cli.render.console import sanitize

# The explanation comes first: what a small model has said, it then writes.
_COMMAND_SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"explanation": {"type": "string"}, "command": {"type": "string"}},
        "required": ["explanation", "command"],
        "additionalProperties": False,
    }
)
_MESSAGE_SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"subject": {"type": "string", "maxLength": 72}, "body": {"type": "string"}},
        "required": ["subject", "body"],
        "additionalProperties": False,
    }
)
_N_OUTPUT = 4096  # characters of a command's output that are kept; all of it is shown
_FAILED_BY_SIGNAL = 128


def serve_command(run: RecipeRun) -> int:
    """Print one command; at a terminal explain it, and run, change or drop it."""
    found = _ask(run, JsonSchema(_COMMAND_SCHEMA))
    command = " ".join(found["command"].split("\n")).strip()
    if not command:
        raise EngineError("the model proposed no command", "say what it shall do")
    stdout = run.app.stdout
    stdout.write((sanitize(command) if stdout.isatty() else command) + "\n")
    stdout.flush()
    if not (run.app.stdin.isatty() and stdout.isatty()):
        return ExitCode.DONE  # a script takes the line as it is
    run.app.stderr.write(sanitize(found["explanation"].strip()) + "\n")
    return _decide(run, command)


def _decide(run: RecipeRun, command: str) -> int:
    answer = run.answer("[r]un it, [e]dit it, or drop it?") or ""
    if answer.lower() in ("e", "edit"):
        command = edited_by_hand(run.app, command, ".sh").strip()
        answer = "r" if command else ""
    if answer.lower() not in ("r", "run") and not is_yes(answer):
        return ExitCode.DONE
    shell = run.app.env.get("SHELL") or "/bin/sh"
    ran = run_child(run.app, [shell, "-c", command], cwd=run.app.cwd, env=run.app.env, n_kept=_N_OUTPUT)
    return ran.exit_code


def serve_commit(run: RecipeRun) -> int:
    """Print a message for the staged changes; at a terminal commit with it after a yes."""
    if not any(text.strip() for text in run.values["inputs"].values()):
        raise UsageError("nothing is staged", "git add FILE first")
    found = _ask(run, JsonSchema(_MESSAGE_SCHEMA))
    message = "\n\n".join(part for part in (found["subject"].strip(), found["body"].strip()) if part) + "\n"
    stdout = run.app.stdout
    stdout.write(sanitize(message) if stdout.isatty() else message)
    stdout.flush()
    if not (run.app.stdin.isatty() and stdout.isatty()):
        return ExitCode.DONE
    answer = run.answer("commit with it? [y]es, [e]dit, or no:") or ""
    if answer.lower() in ("e", "edit"):
        message = edited_by_hand(run.app, message, ".txt")
    elif not is_yes(answer):
        return ExitCode.DONE
    if not message.strip():
        note(run.app, "an empty message: nothing is committed")
        return ExitCode.DONE
    return _call(run, ["git", "commit", "--cleanup=strip", "-F", "-"], message)


def _ask(run: RecipeRun, constraint: Constraint) -> dict[str, str]:
    question = run.question()
    with closing(run.open_engine(question)) as engine:
        request = Request(
            run.chat(question), run.sampling(engine), constraint, private=not run.settings.history
        )
        reply = run_reply(run.app, engine, request, [prefill_progress(run.app, counts_reply=True)])
        n_ctx = engine.info.n_ctx
    raise_unless_whole(run.app, reply, run.settings, n_ctx)
    try:
        found: dict[str, str] = json.loads(reply.text)
    except ValueError as error:
        raise EngineError("the model's answer can't be read", "try again") from error
    return found


def _call(run: RecipeRun, argv: Sequence[str], text: str | None = None) -> int:
    """Run a program on the person's own terminal."""
    try:
        done = subprocess.run(
            argv, cwd=run.app.cwd, env=dict(run.app.env), input=text, text=True, check=False
        )
    except OSError as error:
        raise UsageError(
            f"{argv[0]} can't be run: {error.strerror}", "is it installed and on PATH?"
        ) from error
    return done.returncode if done.returncode >= 0 else _FAILED_BY_SIGNAL - done.returncode
