"""The LoRA adapters that the settings mean: their files found, and looked at before a model is loaded."""

from pathlib import Path

from aigc_cli.cli.context import AppContext
from aigc_cli.cli.wanted_model import model_on_disk
from aigc_cli.config import Settings
from aigc_cli.engine.base import Adapter, Engine, Request, Sampling, Text
from aigc_cli.errors import UsageError
from aigc_cli.models.adapter import read_adapter
from aigc_cli.models.gguf import read_header
from aigc_cli.models.machine import this_machine


def parse_adapter(text: str) -> Adapter:
    """FILE or FILE:SCALE; what comes after the last colon is a scale if it is a number.

    Raises:
        UsageError: no file is named, or the scale is out of range.
    """
    file, colon, scale = text.rpartition(":")
    number = _number(scale) if colon else None
    if number is None:
        file, number = text, 1.0
    if not file.strip():
        raise UsageError(f"the adapter {text!r} names no file", "--lora FILE or --lora FILE:SCALE")
    return Adapter(file, number)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def wanted_adapters(app: AppContext, settings: Settings) -> tuple[Adapter, ...]:
    """The adapters by their full paths; a server's own by their names there.

    Raises:
        UsageError: a scale is out of range.
        InvalidModelFile: a file is no adapter, or can't be read.
        ModelLoadError: one is for another architecture than the model's.
    """
    adapters = tuple(parse_adapter(text) for text in settings.lora)
    if not adapters or settings.base_url:
        return adapters
    model = model_on_disk(app, settings, this_machine)
    architecture = read_header(model.path).architecture
    found = []
    for adapter in adapters:
        path = Path(app.cwd, Path(adapter.file).expanduser())
        read_adapter(path, architecture)
        found.append(Adapter(str(path.resolve()), adapter.scale))
    return tuple(found)


def try_adapters(engine: Engine) -> None:
    """Have one token drawn, so that an adapter that does not fit is told of now and not later.

    Raises:
        AigcError: the engine does not take the adapters that are over it.
    """
    request = Request(Text("a"), Sampling(temperature=0, max_tokens=1), private=True)
    for _ in engine.stream(request):
        pass
