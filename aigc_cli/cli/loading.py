"""What stands on the screen while a model loads."""

from collections.abc import Iterator
from contextlib import contextmanager

from aigc_cli.cli.context import AppContext
from aigc_cli.render.console import detect_traits, sanitize, window_size


@contextmanager
def loading_line(app: AppContext, model: str) -> Iterator[None]:
    """One line on stderr, gone when the model is there; nothing where the cursor can't move."""
    if not detect_traits(app.stderr, app.env, "auto").moves_cursor:
        yield
        return
    # one column stays free: a line that wraps can't be erased
    line = f"loading {sanitize(model)}"[: window_size(app.stderr).columns - 1]
    app.stderr.write(line)
    app.stderr.flush()
    try:
        yield
    finally:
        app.stderr.write("\r\x1b[K")
        app.stderr.flush()
