"""LoRA adapters in a request to a server: by the numbers that it gives its own, or by their files."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aigc_cli.engine.base import Adapter
from aigc_cli.engine.client import Client
from aigc_cli.engine.dialect import VLLM, Dialect
from aigc_cli.errors import ModelError, UnsupportedFeature

ROUTE = "/lora-adapters"  # llama-server's name for the list

Json = dict[str, Any]


def by_file(adapters: Sequence[Adapter]) -> Json:
    """For an engine that reads the same files."""
    return {"lora": [{"path": adapter.file, "scale": adapter.scale} for adapter in adapters]}


def by_number(client: Client, dialect: Dialect, adapters: Sequence[Adapter]) -> Json:
    """For a server with adapters of its own: those that are not wanted are switched off.

    Raises:
        UnsupportedFeature: the server has no adapters that a request can choose among.
        ModelError: it has none of this name.
    """
    if not dialect.has_adapters:
        hint = "aigc serve and llama-server have them"
        if dialect is VLLM:
            hint = "vLLM serves an adapter as a model: --model NAME"
        raise UnsupportedFeature(f"{dialect.name} takes no LoRA adapter with a request", hint)
    numbers = _numbers(client, dialect)
    scales = dict.fromkeys(numbers.values(), 0.0)
    for adapter in adapters:
        number = numbers.get(_name(adapter.file))
        if number is None:
            names = ", ".join(numbers) or "none"
            raise ModelError(
                f"the server has no adapter {_name(adapter.file)!r}",
                f"it has: {names}; it is started with --lora FILE",
            )
        scales[number] = adapter.scale
    return {"lora": [{"id": number, "scale": scale} for number, scale in scales.items()]}


def _numbers(client: Client, dialect: Dialect) -> Mapping[str, int]:
    """The server's adapters by their file names."""
    with client.ask(f"{client.address.root}{ROUTE}") as answer:
        listed = client.parse(answer) if answer.status == HTTPStatus.OK else None
    if not isinstance(listed, list):
        raise UnsupportedFeature(
            f"{dialect.name} does not list its LoRA adapters",
            "is it up to date, and is it one model's server?",
        )
    return {
        _name(str(entry.get("path"))): entry["id"]
        for entry in listed
        if isinstance(entry, Mapping) and isinstance(entry.get("id"), int)
    }


def _name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]
