"""Rewrites the generated parts of the documentation from the code and the measurements they describe.

    python -m docs.generate            rewrite what is stale
    python -m docs.generate --check    change nothing; exit with 1 when something is stale

A generated part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`.
"""

import argparse
import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from aigc_cli.cli import slash
from aigc_cli.cli.app import command_group
from aigc_cli.config import Settings
from aigc_cli.engine.diagnosis import GPU_BUILDS, REINSTALL
from aigc_cli.errors import ExitCode
from aigc_cli.models.catalog import HuggingFace, ModelSpec, PackageIndex, load_catalog
from benchmarks import report

ROOT = Path(__file__).parent.parent
HELP_WIDTH = 80  # columns
KINDS = {str: "text", int: "number", float: "number", bool: "`true`, `false`"}
MARKED = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end of (?P=name) -->)", re.DOTALL)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def exit_codes() -> str:
    """Every exit code and its meaning."""
    return table(("code", "meaning"), [(str(code.value), code.meaning) for code in ExitCode])


def settings() -> str:
    """Every setting: what it takes, its default, what it does."""
    hints = get_type_hints(Settings)
    rows = [
        (f"`{f.name}`", _takes(hints[f.name], f.metadata), _default(f.default), str(f.metadata["help"]))
        for f in fields(Settings)
    ]
    return table(("setting", "takes", "default", "what it does"), rows)


def _takes(hint: Any, metadata: Mapping[str, Any]) -> str:
    if metadata["choices"]:
        return ", ".join(f"`{choice}`" for choice in metadata["choices"])
    if hint == tuple[str, ...]:
        return "an array of texts"
    kind = next(kind for kind in (get_args(hint) or (hint,)) if kind in KINDS)
    whole = "whole " if kind is int else ""
    limits = "{:,} to {:,}".format(*metadata["limits"]) if metadata["limits"] else ""
    return f"{whole}{KINDS[kind]} {limits}".rstrip()


def _default(value: object) -> str:
    if value is None:
        return "unset"
    if value == ():
        return "none"
    return f"`{str(value).lower()}`"


def catalog() -> str:
    """The models that aigc knows by name."""
    header = ("name", "also called", "parameters", "quantization", "file", "licence", "context", "sources")
    return table(header, [_model_row(spec) for spec in load_catalog()])


def _model_row(spec: ModelSpec) -> tuple[str, ...]:
    about = "" if spec.size_bytes else "about "
    return (
        f"`{spec.name}`" + (" (for tests)" if spec.for_tests else ""),
        ", ".join(f"`{alias}`" for alias in spec.aliases),
        f"{spec.n_parameters / 1e9:.2f} B",
        spec.quantization,
        f"{about}{spec.expected_bytes / 1e9:.2f} GB, SHA-256 {'pinned' if spec.sha256 else 'from the hub'}",
        spec.licence + ("" if spec.commercial_use else " (no commercial use)"),
        f"{spec.n_ctx_train:,}",
        ", then ".join(_source(source) for source in spec.sources),
    )


def _source(source: HuggingFace | PackageIndex) -> str:
    if isinstance(source, HuggingFace):
        return f"Hugging Face `{source.repo}`"
    package = re.sub(r"\d*==.*", "", source.requirements[0])
    n_parts = len(source.requirements)
    return f"package index, `{package}` in {n_parts} part{'s' if n_parts > 1 else ''}"


def commands() -> str:
    """What `--help` prints for every command."""
    return "\n\n".join(_help_pages(command_group(), "aigc", None))


def _help_pages(command: Any, name: str, parent: typer.Context | None) -> Iterator[str]:
    ctx = typer.Context(
        command, info_name=name, parent=parent, terminal_width=HELP_WIDTH, **command.context_settings
    )
    level = "###" if parent and parent.parent else "##"
    yield f"{level} {ctx.command_path}\n\n```text\n{command.get_help(ctx).strip()}\n```"
    for child, sub_command in getattr(command, "commands", {}).items():
        yield from _help_pages(sub_command, child, ctx)


def slash_commands() -> str:
    """The commands inside a chat."""
    rows = [
        (f"`{command.usage}`", ", ".join(f"`/{alias}`" for alias in command.aliases), command.help)
        for command in slash.COMMANDS
    ]
    return table(("command", "also", "what it does"), rows)


def keys() -> str:
    """The keys of the chat's line editor."""
    return table(("key", "what it does"), slash.KEYS)


def gpu_builds() -> str:
    """The builds of llama.cpp for a GPU, as `aigc doctor` names them."""
    rows = [
        (backend, what, f'`CMAKE_ARGS="-D{flag}=on" {REINSTALL}`')
        for backend, (flag, what) in GPU_BUILDS.items()
    ]
    return table(("build", "for", "command"), rows)


def code_tree() -> str:
    """Every module with the first line of its docstring."""
    package = ROOT / "aigc_cli"
    folders = [package, *sorted(path.parent for path in package.glob("*/__init__.py"))]
    blocks = [
        f"## {folder.relative_to(ROOT).as_posix()}/\n\n"
        + table(("file", "what is in it"), [_module_row(path) for path in sorted(folder.glob("*.py"))])
        for folder in folders
    ]
    return "\n\n".join(blocks)


def _module_row(path: Path) -> tuple[str, str]:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    link = f"[{path.name}](../{path.relative_to(ROOT).as_posix()})"
    return link, docstring.partition("\n\n")[0].replace("\n", " ")


PARTS: dict[str, Callable[[], str]] = {
    "exit-codes": exit_codes,
    "settings": settings,
    "catalog": catalog,
    "commands": commands,
    "slash-commands": slash_commands,
    "keys": keys,
    "gpu-builds": gpu_builds,
    "code-tree": code_tree,
    **report.PARTS,
}


def refreshed(text: str) -> str:
    """The page with its generated parts made anew."""
    return MARKED.sub(lambda part: f"{part[1]}\n{PARTS[part['name']]()}\n\n{part[3]}", text)


def stale_pages() -> dict[Path, str]:
    """Pages and plots that are not what the code says now, and what they should be."""
    pages = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    stale = {page: new for page, old in texts.items() if (new := refreshed(old)) != old}
    return stale | {path: new for path, new in report.plots().items() if _text(path) != new}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> int:
    """Rewrite or check; gives the exit code."""
    parser = argparse.ArgumentParser(description="Rewrite the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when stale")
    check: bool = parser.parse_args().check
    stale = stale_pages()
    for page, text in stale.items():
        if not check:
            page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
        print(f"{page.relative_to(ROOT)}: {'stale: python -m docs.generate' if check else 'rewritten'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    raise SystemExit(main())
