"""What the commands of `aigc inspect` share: the text, the model in this process, where the result goes."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aigc_cli.chat.prompt import system_message, well_formed
from aigc_cli.cli import stdin
from aigc_cli.cli.context import AppContext
from aigc_cli.cli.inputs import STDIN, refuse_oversize
from aigc_cli.cli.loading import loading_line
from aigc_cli.cli.options import Command, option_group
from aigc_cli.cli.report import note
from aigc_cli.config import Settings
from aigc_cli.engine.base import Chat, Message, Sampling, Text
from aigc_cli.errors import UsageError
from aigc_cli.render.console import ColorDepth, detect_traits, window_size
from aigc_cli.render.token_text import TokenView
from aigc_cli.tasks.workspace import named_path, read_text, refuse_bad_target, write_atomic

if TYPE_CHECKING:
    from aigc_cli.engine.inspection import InspectionOptions, Inspector, Token

PLACE = ("model", "context", "threads", "gpu_layers", "color", "system")
EVALUATING = (*PLACE, "lora")  # what adapters change

_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    "text": (
        Annotated[
            list[str] | None,
            typer.Argument(metavar="TEXT", help="the text; - or nothing reads standard input"),
        ],
        None,
    ),
    "file": (
        Annotated[str | None, typer.Option("-f", "--file", metavar="PATH", help="the text is in this file")],
        None,
    ),
    "chat": (
        Annotated[
            bool, typer.Option("--chat", help="the text is a question: show it in the model's chat template")
        ],
        False,
    ),
    "as_json": (Annotated[bool, typer.Option("--json", help="one JSON object instead of a drawing")], False),
    "html": (
        Annotated[
            str | None, typer.Option("--html", metavar="FILE", help="write a page for the browser instead")
        ],
        None,
    ),
    "force": (Annotated[bool, typer.Option("--force", help="overwrite an existing FILE")], False),
}
TEXT = ("text", "file", "chat")
OUTPUT = ("as_json", "html", "force")


@dataclass(frozen=True, slots=True)
class Screen:
    """What the drawing goes on."""

    depth: ColorDepth
    columns: int


@dataclass(frozen=True, slots=True)
class Target:
    """Where the result goes.

    Attributes:
        html: a file for a page; None for standard output.
    """

    as_json: bool
    html: str | None

    def deliver(
        self,
        app: AppContext,
        settings: Settings,
        *,
        facts: Callable[[], dict[str, Any]],
        drawing: Callable[[Screen], Sequence[str]],
        page: Callable[[], str] | None = None,
    ) -> None:
        """Write the result in the form that was asked for."""
        if self.html is not None and page is not None:
            write_atomic(named_path(self.html, app.cwd), page(), self.html)
            note(app, f"wrote {self.html}")
        if self.as_json:
            app.stdout.write(json.dumps(facts(), ensure_ascii=False) + "\n")
        elif self.html is None:
            write_rows(app, drawing(screen_of(app, settings)))


@dataclass(frozen=True, slots=True)
class Given:
    """What a command was given: the text, and where the result goes."""

    text: Sequence[str] | None = None
    file: str | None = None
    chat: bool = False
    as_json: bool = False
    html: str | None = None
    force: bool = False

    def target(self, app: AppContext) -> Target:
        """Check the file before the work is done.

        Raises:
            FileError: it exists, or can't be written.
        """
        if self.html is not None:
            refuse_bad_target(named_path(self.html, app.cwd), self.html, overwrite=self.force)
        return Target(self.as_json, self.html)

    def prompt(self, app: AppContext, settings: Settings) -> Text | Chat:
        """The text as it is, or as a question to the model.

        Raises:
            UsageError: there is none, or it is given twice.
            FileError: it can't be read.
        """
        words = list(self.text or ())
        if self.file is not None and words:
            raise UsageError("the text is given twice", "either TEXT or -f FILE")
        if STDIN in (self.file, *words) or (self.file is None and not words and not app.stdin.isatty()):
            text = stdin.read_stdin(app)
        elif self.file is not None:
            text = read_text(named_path(self.file, app.cwd), self.file)
        else:
            text = " ".join(words)
        text = well_formed(text)
        if not text:
            raise UsageError("there is no text to inspect", "aigc inspect tokens 'def main():', or -f FILE")
        return Chat((*system_message(settings.system), Message("user", text))) if self.chat else Text(text)


def text_options(*names: str) -> Callable[[Command], Command]:
    """Add these options to a command that takes them together as `given`."""
    options = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _OPTIONS.items()
        if name in names
    ]
    return option_group("given", options, lambda values: Given(**values))


def screen_of(app: AppContext, settings: Settings) -> Screen:
    """The terminal, or what stands for it."""
    depth = detect_traits(app.stdout, app.env, settings.color).depth
    return Screen(depth, window_size(app.stdout).columns)


def write_rows(app: AppContext, rows: Sequence[str]) -> None:
    """Write lines to standard output."""
    app.stdout.write("".join(f"{row}\n" for row in rows))


def n_characters(prompt: Text | Chat) -> int:
    """Length of a text, or of all messages."""
    if isinstance(prompt, Text):
        return len(prompt.text)
    return sum(len(message.content) for message in prompt.messages)


def text_of(prompt: Text | Chat) -> str:
    """A text, or the question of a chat."""
    return prompt.text if isinstance(prompt, Text) else prompt.messages[-1].content


def recommended(app: AppContext, settings: Settings) -> Sampling:
    """What the publisher of the model recommends for sampling.

    Raises:
        ModelError: there is no such model.
    """
    from aigc_cli.engine.connect import recommended_sampling
    from aigc_cli.models.catalog import ModelSpec, load_catalog
    from aigc_cli.models.choose import locate
    from aigc_cli.models.machine import this_machine
    from aigc_cli.models.store import ModelStore

    catalog = load_catalog()
    found = locate(settings.model, catalog, ModelStore(app.directories.models, catalog), this_machine())
    return recommended_sampling(found if isinstance(found, ModelSpec) else found.spec)


def local_options(app: AppContext, settings: Settings) -> "InspectionOptions":
    """The model file and how to run it; it is pulled first where it is missing.

    Raises:
        ModelError: there is no such model, or it can't be had.
    """
    from aigc_cli.cli.wanted_model import model_on_disk  # the catalogue and its store
    from aigc_cli.engine.connect import devices, machine_with, n_threads, placement_of
    from aigc_cli.engine.inspection import InspectionOptions  # numpy and llama.cpp, 0.3 s
    from aigc_cli.models.known_headers import known_header

    if settings.base_url:
        note(app, f"a model can only be looked into on this machine: {settings.base_url} is not asked")
    found = devices()
    machine = machine_with(found)
    model = model_on_disk(app, settings, lambda: machine)
    header = known_header(model.path, app.directories.headers)
    place = placement_of(settings, header, found, machine)
    return InspectionOptions(
        model.path, model.name, place.n_ctx, n_threads(settings, machine), place.n_gpu_layers
    )


@contextmanager
def open_inspector(app: AppContext, settings: Settings, prompt: Text | Chat) -> Iterator["Inspector"]:
    """The model in this process, for as long as it is looked into.

    Raises:
        ModelError: it or an adapter can't be had or loaded.
        ContextOverflow: the text can't fit the window by any count.
    """
    from aigc_cli.cli.adapters import wanted_adapters

    adapters = wanted_adapters(app, replace(settings, base_url=None))
    options = replace(local_options(app, settings), adapters=adapters)
    refuse_oversize(n_characters(prompt), options.n_ctx)
    from aigc_cli.engine.inspection import Inspector  # numpy and llama.cpp, 0.3 s

    with loading_line(app, options.name):
        inspector = Inspector(options)
    with inspector:
        yield inspector


def views(tokens: "Sequence[Token]") -> list[TokenView]:
    """The tokens, for drawing."""
    return [TokenView(token.id, token.piece, token.is_control) for token in tokens]


def token_facts(index: int, token: TokenView) -> dict[str, Any]:
    """A token in JSON; `text` is null where the bytes are no whole characters."""
    return {
        "index": index,
        "id": token.id,
        **piece_facts(token.piece),
        "control": token.is_control,
    }


def piece_facts(piece: bytes) -> dict[str, Any]:
    """The text of a token and its bytes in JSON."""
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        text = None
    return {"text": text, "bytes": list(piece)}
