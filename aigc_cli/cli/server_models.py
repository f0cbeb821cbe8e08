"""The models of the server that a chat talks with: which it has, and whether one of a name is there."""

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.remote_engine import open_remote_engine
from aigc_cli.config import Settings
from aigc_cli.engine.adapted import bare
from aigc_cli.engine.base import Engine
from aigc_cli.engine.dialect import LLAMA_SERVER
from aigc_cli.engine.remote import RemoteEngine
from aigc_cli.errors import UsageError

_MOST_NAMED = 20


def refuse_unknown_model(app: AppContext, settings: Settings, name: str) -> None:
    """Find a typo before the chat changes its model.

    Raises:
        UsageError: the server lists its models, and this is none of them.
    """
    engine = open_remote_engine(app, settings)
    try:
        names = engine.model_names()
        # a llama-server with one model answers to any name
        if name in names or (engine.dialect is LLAMA_SERVER and len(names) == 1):
            return
    finally:
        engine.close()
    listed = ", ".join(names[:_MOST_NAMED]) or "none"
    raise UsageError(f"the server has no model {name!r}", f"it has: {listed}")


def listed_models(engine: Engine) -> list[str]:
    """The names that the server gave when the chat began: a key pressed must not wait for the network."""
    engine = bare(engine)
    return list(engine.listed_models) if isinstance(engine, RemoteEngine) else []
