"""Recipes whose answer is a file: code drafted, checked and repaired as `aigc gen` does it, or a text."""

from contextlib import closing
from dataclasses import replace
from typing import Any

from aigc_cli.cli import recipe_text
from aigc_cli.cli.code_file import STDOUT, CodeWish, Goal, goal_of, write_code, write_file
from aigc_cli.cli.ending import raise_unless_whole
from aigc_cli.cli.inputs import Inputs
from aigc_cli.cli.recipe_run import RecipeRun
from aigc_cli.cli.reply import prefill_progress, run_reply
from aigc_cli.cli.report import note
from aigc_cli.engine.base import Request
from aigc_cli.errors import EngineError, ExitCode, UsageError
from aigc_cli.tasks.code_blocks import extract_code_blocks
from aigc_cli.tasks.languages import PLAIN, language_called

_FOR_CODE = ("check", "run_examples")


def serve(run: RecipeRun) -> int:
    """Write the file that `-o` names, or print the code."""
    languages = run.recipe.languages
    wish = code_wish(run, lang=languages[0] if len(languages) == 1 and not run.options["output"] else None)
    return write(run, goal_of(run.app, wish))


def code_wish(run: RecipeRun, output: str | None = None, **more: Any) -> CodeWish:
    """What the line asks for; `output` is where the code goes if the line does not say."""
    given = run.options
    return CodeWish(
        run.settings,
        run.recipe.name,
        run.said,
        given["output"] or output or STDOUT,
        force=given["force"],
        dry_run=given["dry_run"],
        check=given["check"],
        run_examples=given.get("run_examples", False),
        tries=given["tries"],
        sampling=run.recipe.sampling,
        **more,
    )


def write(run: RecipeRun, goal: Goal, **more: Any) -> int:
    """Ask for the code, check it, write it."""
    return write_code(run.app, goal, Inputs(run.words_of_question(**more), run.attachments))


def serve_translation(run: RecipeRun) -> int:
    """Code into another programming language, checked; or text into another human one."""
    if not run.said and not run.attachments:
        raise UsageError("there is nothing to translate", f"aigc {run.recipe.name} app.py --to go")
    name = run.values["to"]
    language = language_called(name)
    if language is not None and language is not PLAIN:
        goal = goal_of(run.app, code_wish(run, lang=name))
        return write(run, goal, to=language.name, is_code=True)
    for option in _FOR_CODE:
        if run.options[option]:
            dashed = option.replace("_", "-")
            raise UsageError(
                f"--{dashed} is for code, and {name!r} is no programming language", "leave it out"
            )
    return _speak(replace(run, values={**run.values, "is_code": False}))


def _speak(run: RecipeRun) -> int:
    goal = goal_of(run.app, code_wish(run))
    if goal.target is None or goal.wish.dry_run:
        return recipe_text.serve(run)
    question = run.question()
    with closing(run.open_engine(question)) as engine:
        request = Request(run.chat(question), run.sampling(engine), private=not run.settings.history)
        reply = run_reply(run.app, engine, request, [prefill_progress(run.app)])
        n_ctx = engine.info.n_ctx
    raise_unless_whole(run.app, reply, run.settings, n_ctx)
    text = _unfenced(reply.text)
    if not text:
        raise EngineError("the model said nothing", "try again")
    write_file(run.app, goal, goal.target, f"{text}\n")
    note(run.app, f"wrote {goal.wish.output}")
    return ExitCode.DONE


def _unfenced(text: str) -> str:
    """A text without the fence that a model puts around the whole of it."""
    text = text.strip()
    blocks = extract_code_blocks(text)
    is_one_block = len(blocks) == 1 and text.startswith("```") and text.endswith("```")
    return blocks[0].code.strip("\n") if is_one_block else text
