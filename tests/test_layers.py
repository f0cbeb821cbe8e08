"""Imports point downwards: the picture in the design is enforced, not hoped for."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import aigc_cli

PACKAGE = Path(aigc_cli.__file__).parent
FOUNDATION = {"errors", "events", "config", "atomic"}
# what each layer may import, besides itself
BELOW: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "atomic": set(),
    "events": {"errors"},
    "config": {"errors"},
    "models": FOUNDATION,
    "engine": FOUNDATION | {"models"},
    "serve": FOUNDATION | {"models", "engine", "chat", "__init__"},
    "chat": FOUNDATION | {"engine"},
    "tasks": FOUNDATION | {"engine", "chat"},
    "render": FOUNDATION,
    "cli": FOUNDATION | {"models", "engine", "serve", "chat", "tasks", "render", "__init__"},
    "__main__": FOUNDATION | {"cli", "engine", "__init__"},
}
# third-party packages that only these layers may know
AT_HOME = {
    "llama_cpp": {"engine"},
    "rich": {"render", "cli"},
    "pygments": {"render", "cli"},
    "typer": {"cli"},
    "prompt_toolkit": {"cli"},
    "huggingface_hub": {"models"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path, package: Path = PACKAGE) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def strays(path: Path, package: Path = PACKAGE) -> list[str]:
    layer = layer_of(path, package)
    found = []
    for name in imported_names(path):
        top, _, rest = name.partition(".")
        if top == "aigc_cli":
            target = rest.partition(".")[0]
            target = target if target in BELOW else "__init__"  # from aigc_cli import __version__
            if target != layer and target not in BELOW[layer]:
                found.append(f"{layer} imports {name}")
        elif layer not in AT_HOME.get(top, {layer}):
            found.append(f"{layer} imports {name}")
    return found


def test_every_part_of_the_package_has_its_place() -> None:
    assert {layer_of(path) for path in MODULES} <= set(BELOW)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path: Path) -> None:
    assert strays(path) == []


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("tasks", "from aigc_cli.cli.app import run"),
        ("engine", "import aigc_cli.chat.prompt"),
        ("chat", "from aigc_cli.render import console"),
        ("models", "import llama_cpp"),
        ("tasks", "from rich.console import Console"),
        ("config", "    from aigc_cli.events import Done"),
    ],
)
def test_an_import_upwards_would_be_seen(tmp_path: Path, layer: str, line: str) -> None:
    module = tmp_path / layer / "module.py" if layer != "config" else tmp_path / "config.py"
    module.parent.mkdir(exist_ok=True)
    module.write_text(f"def f():\n    {line}\n", encoding="utf-8")
    assert len(strays(module, tmp_path)) == 1


WORLD = {"sys.stdout", "sys.stderr", "sys.stdin", "os.environ", "os.getenv", "print", "input"}


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if layer_of(path) != "__main__"],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_the_world_comes_through_the_app_context(path: Path) -> None:
    touched = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in WORLD
    }
    assert touched == set()
