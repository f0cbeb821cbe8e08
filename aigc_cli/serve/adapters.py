"""The `lora` field of a request, and the list that its numbers come from, as llama-server has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_cli.engine.base import Adapter
from aigc_cli.serve.fields import Fields
from aigc_cli.serve.refusals import BadField


@dataclass(frozen=True, slots=True)
class ServedAdapters:
    """Which LoRA adapters requests may ask for.

    Attributes:
        own: the server's, by number; in force where a request says nothing.
        reads_files: every client is the person whose engine this is, and may name any file of theirs.
    """

    own: Sequence[Adapter] = ()
    reads_files: bool = False

    def wanted(self, body: dict[str, Any]) -> tuple[Adapter, ...] | None:
        """What a request asks for; adapters that it does not name are off, unless it names none at all.

        Raises:
            BadField: it names one that is not there, or in a way that makes no sense.
        """
        fields = Fields(body)
        if "lora" not in fields:
            return tuple(self.own) or None
        return tuple(self._adapter(entry) for entry in fields.objects("lora"))

    def _adapter(self, entry: Fields) -> Adapter:
        scale = entry.number("scale")
        if self.reads_files:
            path = entry.text("path")
            if not path or not Path(path).is_absolute():
                entry.refuse("path", "the full path of an adapter")
            return Adapter(path, 1.0 if scale is None else scale)
        if "path" in entry:
            raise BadField(entry.path("path"), "an adapter is named by its id here", "GET /lora-adapters")
        number = entry.whole("id")
        if number is None or not 0 <= number < len(self.own):
            entry.refuse("id", self._numbers())
        return Adapter(self.own[number].file, 0.0 if scale is None else scale)  # 0.0: as llama-server has it

    def _numbers(self) -> str:
        last = len(self.own) - 1
        return (
            f"a number from 0 to {last}" if self.own else "left out: this server was started without --lora"
        )

    def listed(self) -> list[dict[str, Any]]:
        """What `GET /lora-adapters` answers: file names, and no directories of this machine."""
        return [
            {"id": number, "path": Path(adapter.file).name, "scale": adapter.scale}
            for number, adapter in enumerate(self.own)
        ]
