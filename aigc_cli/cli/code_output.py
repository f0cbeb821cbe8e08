"""Code on stdout: highlighted on a terminal, the bytes themselves in a pipe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aigc_cli.chat.prompt import fenced
from aigc_cli.cli.context import AppContext
from aigc_cli.config import Settings
from aigc_cli.events import Delta
from aigc_cli.render.console import ColorDepth, detect_traits
from aigc_cli.render.plain import PlainView
from aigc_cli.render.view import open_view
from aigc_cli.tasks.code_blocks import CodeBlock

if TYPE_CHECKING:
    from aigc_cli.render.view import View


def show_code(
    app: AppContext,
    settings: Settings,
    blocks: Sequence[CodeBlock],
    *,
    raw: bool = False,
    to_stderr: bool = False,
) -> None:
    """Print blocks of code with an empty line between them; each ends with one line break."""
    stream = app.stderr if to_stderr else app.stdout
    texts = [(block.code.rstrip("\n") + "\n", block.language) for block in blocks]
    colored = detect_traits(stream, app.env, settings.color).depth is not ColorDepth.NONE
    view: View
    if colored and not raw:
        view = open_view(stream, app.env, settings)
        text = "\n\n".join(fenced(code, language) for code, language in texts)
    else:
        view = PlainView(stream)
        text = "\n".join(code for code, _ in texts)
    view.show(Delta(text))
    view.close()
