"""Hugging Face, or a mirror that speaks its protocol: which file, how large, with which hash.

The hub is asked through huggingface_hub, so `HF_ENDPOINT`, `HF_TOKEN` and a saved login mean what they mean
elsewhere. The bytes themselves come through `web.download`: straight to the place where the model will lie,
resumable and hashed on the way, without a second copy in the hub's cache.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aigc_cli.models.catalog import HuggingFace
from aigc_cli.models.source import SourceError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

DEFAULT_ENDPOINT = "https://huggingface.co"
TIMEOUT_S = 10.0
PREFERRED_QUANTIZATIONS = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0")
USER_AGENT = {"user-agent": "aigc"}  # huggingface_hub's own lists what is installed here
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file that the hub has: its address and the headers to send, what it will be."""

    url: str
    headers: Mapping[str, str]
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file that a person asked for by repository: where it is, how large, under which licence."""

    source: HuggingFace
    size_bytes: int | None
    sha256: str | None
    licence: str | None


def endpoint(env: Mapping[str, str]) -> str:
    """The hub's address: `HF_ENDPOINT`, or huggingface.co."""
    return (env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def look_up(source: HuggingFace, env: Mapping[str, str]) -> HubFile:
    """Ask the hub for one file's size and hash.

    Raises:
        SourceError: the hub can't be reached, or does not give this file.
    """
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url  # 0.4 s; only a pull needs it

    url = hf_hub_url(source.repo, source.filename, revision=source.revision, endpoint=endpoint(env))
    token = env.get("HF_TOKEN") or get_token()
    metadata = _ask(
        lambda: get_hf_file_metadata(
            url, token=token, timeout=TIMEOUT_S, endpoint=endpoint(env), headers=USER_AGENT
        ),
        source,
        env,
    )
    etag = metadata.etag or ""
    return HubFile(
        url=url,
        headers=USER_AGENT | ({"authorization": f"Bearer {token}"} if token else {}),
        size_bytes=metadata.size,
        # The ETag of a large file is its SHA-256; that of a small one is a git hash.
        sha256=etag if _SHA256.fullmatch(etag) else None,
    )


def find_file(repo: str, selector: str | None, env: Mapping[str, str]) -> RepositoryFile:
    """The file of a repository that a file name or a quantization selects; without one, a 4-bit one.

    Raises:
        SourceError: the hub can't be reached, or no single file fits the selection.
    """
    from huggingface_hub import HfApi  # 0.4 s; only a pull needs it

    api = HfApi(endpoint=endpoint(env), token=env.get("HF_TOKEN") or None, headers=USER_AGENT)
    unpinned = HuggingFace(repo, selector or "", "main")
    answer: ModelInfo = _ask(
        lambda: api.model_info(repo, files_metadata=True, timeout=TIMEOUT_S), unpinned, env
    )
    found = [file for file in answer.siblings or () if file.rfilename.casefold().endswith(".gguf")]
    sibling = _select(repo, found, selector)
    licence = answer.card_data.get("license") if answer.card_data else None
    return RepositoryFile(
        HuggingFace(repo, sibling.rfilename, answer.sha or "main"),
        sibling.size,
        sibling.lfs.sha256 if sibling.lfs else None,
        licence if isinstance(licence, str) else None,
    )


def _select(repo: str, files: "list[RepoSibling]", selector: str | None) -> "RepoSibling":
    if not files:
        raise SourceError("the repository holds no GGUF file")
    by_name = {file.rfilename: file for file in files}
    if selector in by_name:
        return by_name[selector]
    for quantization in (selector,) if selector else PREFERRED_QUANTIZATIONS:
        matching = [file for file in files if _has_quantization(file.rfilename, quantization)]
        whole = [file for file in matching if not _SPLIT.search(file.rfilename)]
        if len(whole) == 1:
            return whole[0]
        if matching and not whole:
            raise SourceError(
                f"{quantization} is split into {len(matching)} files there; split models are not read"
            )
        if len(whole) > 1:
            raise SourceError(f"several files fit: {_names(whole)}; name one: hf:{repo}:FILE")
    if len(files) == 1 and not selector:
        return files[0]
    raise SourceError(f"it has no {selector or 'usual quantization'}; it has {_names(files)}")


def _has_quantization(filename: str, quantization: str) -> bool:
    pattern = rf"(?:^|[-._/]){re.escape(quantization)}(?=[-._/]|$)"
    return re.search(pattern, filename, re.IGNORECASE) is not None


def _names(files: "list[RepoSibling]") -> str:
    shown = [file.rfilename for file in files[:8]]
    return ", ".join(shown) + (f" and {len(files) - 8} more" if len(files) > len(shown) else "")


def _ask(question: Callable[[], _T], source: HuggingFace, env: Mapping[str, str]) -> _T:
    """Put a question to the hub; any failure becomes one line."""
    import httpx2  # imported by huggingface_hub anyway
    from huggingface_hub import errors

    # Its advice on tokens is for its own users; ours comes with the error.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    host = endpoint(env).partition("://")[2]
    try:
        return question()
    except errors.GatedRepoError as error:
        page = f"{endpoint(env)}/{source.repo}"
        raise SourceError(f"the repository is gated: accept its terms at {page} and set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError("no such repository, or it is private and HF_TOKEN does not open it") from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(f"the repository has no revision {source.revision}") from error
    except errors.EntryNotFoundError as error:
        raise SourceError(f"the repository has no file {source.filename}") from error
    except errors.HfHubHTTPError as error:
        raise SourceError(f"{host} answers HTTP {error.response.status_code}") from error
    except errors.HFValidationError as error:
        raise SourceError(f"{source.repo!r} is no repository name (OWNER/NAME)") from error
    except httpx2.TimeoutException as error:
        raise SourceError(f"{host} gives no answer within {TIMEOUT_S:.0f} seconds") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise SourceError(f"can't reach {host}: {reason}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{host} does not answer like Hugging Face") from error
