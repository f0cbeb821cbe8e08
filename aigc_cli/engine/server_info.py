"""Which server answers at an address, which models it has, and how large their windows are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aigc_cli.engine.base import EngineInfo, Sampling
from aigc_cli.engine.client import Client
from aigc_cli.engine.dialect import AIGC, GENERIC, LLAMA_SERVER, OLLAMA, OPENAI, VLLM, Dialect, Infilling
from aigc_cli.errors import AigcError, ModelError, UsageError

ASSUMED_N_CTX = 32_768  # where a server does not tell; the setting `context` does
_OLLAMA_N_CTX = 4096  # what Ollama gives a model when nobody asked for more
_OPENAI_HOST = "api.openai.com"
_MOST_NAMED = 8
# what servers call the size of the window in their list of models
_WINDOW_NAMES = (
    "max_model_len",
    "context_length",
    "context_window",
    "max_context_length",
    "loaded_context_length",
)
_SAMPLING_NAMES = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "repeat_last_n", "dry_multiplier"),
    *("frequency_penalty", "presence_penalty"),
)

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server said of itself.

    Attributes:
        models: the names in its list.
    """

    dialect: Dialect
    engine: EngineInfo
    models: tuple[str, ...]


def discover(client: Client, model: str | None, n_ctx: int | None) -> ServerInfo:
    """Ask a server what it is: one request for our own and llama-server's, up to four for others.

    Raises:
        AigcError: it does not answer, refuses the key, or has several models and none was named.
    """
    if client.address.host == _OPENAI_HOST:
        return _from_list(client, OPENAI, model, n_ctx)
    props, headers = client.probe(f"{client.address.root}/props")
    if props is not None and "default_generation_settings" in props:
        is_ours = isinstance(props.get("x_aigc"), Mapping)
        return _from_props(props, AIGC if is_ours else LLAMA_SERVER, model, n_ctx)
    if "llama.cpp" in headers.get("server", ""):  # it wants a key for /props, or routes to several models
        return _from_list(client, LLAMA_SERVER, model, n_ctx)
    return _from_list(client, None, model, n_ctx)


def model_names(client: Client) -> tuple[str, ...]:
    """The models that a server lists."""
    return tuple(_named(client))


def _named(client: Client) -> dict[str, Json]:
    listed = client.fetch(f"{client.address.api}/models").get("data")
    entries = listed if isinstance(listed, list) else []
    return {
        entry["id"]: entry
        for entry in entries
        if isinstance(entry, Mapping) and isinstance(entry.get("id"), str)
    }


def _from_props(props: Json, dialect: Dialect, model: str | None, n_ctx: int | None) -> ServerInfo:
    defaults = _mapping(props, "default_generation_settings")
    # without an alias, llama-server gives the whole path; it answers to any name
    name = re.split(r"[/\\]", str(props.get("model_alias") or props.get("model_path") or "model"))[-1]
    window = _whole(defaults.get("n_ctx")) or ASSUMED_N_CTX
    ours = _mapping(props, "x_aigc")
    info = EngineInfo(
        model=model or str(name),
        n_ctx=min(window, n_ctx or window),
        sampling=_sampling(_mapping(defaults, "params")),
        has_chat_template=bool(ours.get("has_chat_template", props.get("chat_template", True))),
        has_infill=bool(ours.get("has_infill", True)),
    )
    return ServerInfo(dialect, info, (str(name),))


def _sampling(params: Json) -> Sampling:
    """The server's defaults, as far as they are values that can be used."""
    sampling = Sampling()
    for name in _SAMPLING_NAMES:
        value = params.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        try:
            # llama-server has 32-bit numbers: 0.949999988079071
            given: dict[str, Any] = {name: round(value, 6)}
            sampling = replace(sampling, **given)
        except UsageError:
            continue
    return sampling


def _from_list(client: Client, dialect: Dialect | None, model: str | None, n_ctx: int | None) -> ServerInfo:
    listed = _named(client)
    if dialect is None:
        dialect = _recognize(client, listed)
    name = model or _only(listed)
    window = n_ctx or _window(client, dialect, name, listed.get(name, {})) or ASSUMED_N_CTX
    info = EngineInfo(
        model=name,
        n_ctx=window,
        sampling=dialect.recommended,
        has_infill=dialect.infilling is not Infilling.NONE,
    )
    return ServerInfo(dialect, info, tuple(listed))


def _recognize(client: Client, listed: Mapping[str, Json]) -> Dialect:
    if any(entry.get("owned_by") == "vllm" for entry in listed.values()):
        return VLLM
    version, _ = client.probe(f"{client.address.root}/api/version")
    return OLLAMA if version is not None and isinstance(version.get("version"), str) else GENERIC


def _only(listed: Mapping[str, Json]) -> str:
    if len(listed) == 1:
        return next(iter(listed))
    if not listed:
        raise ModelError("the server has no model", "load one there, or name it: --model NAME")
    names = ", ".join(list(listed)[:_MOST_NAMED])
    more = f" and {len(listed) - _MOST_NAMED:,} more" if len(listed) > _MOST_NAMED else ""
    raise UsageError(f"the server has several models: {names}{more}", "--model NAME says which")


def _window(client: Client, dialect: Dialect, model: str, entry: Json) -> int:
    if dialect is OLLAMA:
        return _ollama_window(client, model)
    meta = _mapping(entry, "meta")
    return next((n for name in _WINDOW_NAMES if (n := _whole(entry.get(name)))), 0) or _whole(
        meta.get("n_ctx")
    )


def _ollama_window(client: Client, model: str) -> int:
    """The window of a loaded model, or the one that it will be loaded with."""
    running, _ = client.probe(f"{client.address.root}/api/ps")
    entries = (running or {}).get("models")
    for entry in entries if isinstance(entries, list) else []:
        names = {entry.get("name"), entry.get("model")} if isinstance(entry, Mapping) else set()
        if names & {model, f"{model}:latest"} and (window := _whole(entry.get("context_length"))):
            return window
    try:
        shown = client.fetch(f"{client.address.root}/api/show", {"model": model}, model=model)
    except ModelError:
        raise
    except AigcError:
        return _OLLAMA_N_CTX
    if match := re.search(r"^num_ctx\s+(\d+)", str(shown.get("parameters") or ""), re.MULTILINE):
        return int(match[1])
    about = _mapping(shown, "model_info")
    trained = [_whole(value) for name, value in about.items() if name.endswith(".context_length")]
    return min(_OLLAMA_N_CTX, *(n for n in trained if n)) if any(trained) else _OLLAMA_N_CTX


def _mapping(holder: Json, name: str) -> Json:
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0
