"""The documentation says what the program does: generated parts, links, commands, examples, the tree."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import typer

import aigc_cli
from aigc_cli.cli import slash
from aigc_cli.cli.app import command_group
from aigc_cli.cli.route import route
from aigc_cli.config import Settings
from aigc_cli.engine.json_grammar import schema_to_gbnf
from aigc_cli.errors import ExitCode, UnsupportedFeature
from aigc_cli.models.catalog import load_catalog
from docs import generate, twins

ROOT = generate.ROOT
PAGES = [path for folder in (ROOT, ROOT / "docs", ROOT / "docs/zh") for path in sorted(folder.glob("*.md"))]
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)")
EXAMPLE = re.compile(r"^\| (?P<what>.*) \| `(?P<schema>\{.*\})` \|$", re.MULTILINE)
COMMAND_NAMES = [
    "aigc",
    *(
        f"aigc {path}"
        for path in (
            *(
                "ask",
                "chat",
                "gen",
                "edit",
                "fill",
                "complete",
                "new",
                "undo",
                "serve",
                "doctor",
                "models",
                "models list",
                "models pull",
                "models info",
            ),
            *("models verify", "models use", "models rm"),
            *("sessions", "sessions list", "sessions show", "sessions search"),
            *("sessions export", "sessions rename", "sessions rm"),
            *("engine", "engine status", "engine start", "engine stop", "engine restart", "engine log"),
            "engine cache",
            *(
                "inspect",
                "inspect tokens",
                "inspect next",
                "inspect step",
                "inspect attention",
                "inspect layers",
            ),
            *("config", "config show", "config path", "config set", "config unset"),
        )
    ),
]


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def page_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_generated_parts_are_fresh() -> None:
    stale = sorted(page_name(path) for path in generate.stale_pages())
    assert stale == [], "python -m docs.generate"


def test_a_stale_part_would_be_seen() -> None:
    old = "# Codes\n\n<!-- generated: exit-codes -->\n\n| 7 | gone |\n\n<!-- end of exit-codes -->\n\nText.\n"
    new = generate.refreshed(old)
    assert "gone" not in new
    assert ExitCode.NO_CODE.meaning in new
    assert (new[:8], new[-6:]) == ("# Codes\n", "Text.\n")
    assert generate.refreshed(new) == new


def test_every_generated_part_stands_on_one_page() -> None:
    marked = [part["name"] for path in PAGES for part in generate.MARKED.finditer(path.read_text("utf-8"))]
    assert sorted(marked) == sorted(generate.PARTS)


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = [
        f"{target}#{anchor}"
        for target, anchor in LINK.findall(path.read_text("utf-8"))
        if not leads_somewhere(path, target, anchor)
    ]
    assert broken == []


def leads_somewhere(path: Path, target: str, anchor: str) -> bool:
    destination = path.parent / target if target else path
    if not destination.exists():
        return False
    return not anchor or anchor in {slug(line) for line in destination.read_text("utf-8").splitlines()}


def slug(line: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", line.lstrip("# ")).replace(" ", "-").lower() if line[:1] == "#" else ""


@pytest.mark.parametrize(("target", "anchor"), [("docs/nowhere.md", ""), ("README.md", "no-such-heading")])
def test_a_broken_link_would_be_seen(target: str, anchor: str) -> None:
    assert not leads_somewhere(ROOT / "README.md", target, anchor)


@pytest.mark.parametrize("folder", ["docs", "docs/zh"])
def test_every_page_is_in_the_index(folder: str) -> None:
    index = {target for target, _ in LINK.findall(page(f"{folder}/README.md"))}
    assert {path.name for path in (ROOT / folder).glob("*.md")} - {"README.md"} <= index


def test_both_languages_say_the_same() -> None:
    found = twins.all_differences()
    assert found == [], "\n".join(["change both pages:", *found])


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_every_command_has_its_help_on_the_page(name: str) -> None:
    assert f"# {name}\n\n```text\nUsage: {name} " in page("docs/commands.md")


def test_every_name_is_on_its_page() -> None:
    names = {
        "docs/configuration.md": [f.name for f in fields(Settings)],
        "docs/exit-codes.md": [f"| {code.value} | {code.meaning} |" for code in ExitCode],
        "docs/chat.md": [f"`/{command.name}" for command in slash.COMMANDS],
        "docs/models.md": [name for spec in load_catalog() for name in (spec.name, *spec.aliases)],
    }
    missing = [(where, name) for where, known in names.items() for name in known if name not in page(where)]
    assert missing == []


def shown_lines() -> Iterator[str]:
    """The lines in the pages' shell blocks that run aigc."""
    for path in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", path.read_text("utf-8"), re.DOTALL):
            for line in block.splitlines():
                words = shlex.split(re.split(r"\|(?=\s*aigc)|&&(?=\s*\S*aigc)", line)[-1], comments=True)
                if words and Path(words[0]).name == "aigc":
                    yield shlex.join(words)


def misunderstood(line: str) -> str:
    """What is wrong with a command line; empty when its command takes it."""
    words = shlex.split(line.split(" '<' ", maxsplit=1)[0])[1:]
    command: Any = command_group()
    ctx = typer.Context(command, info_name="aigc")
    rest = route(words, command, command.commands, stdin_is_terminal=True).argv
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    try:
        command.make_context("aigc", rest, parent=ctx)
    except typer.TyperException as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("line", sorted(set(shown_lines())))
def test_every_line_that_is_shown_is_understood(line: str) -> None:
    assert misunderstood(line) == ""


@pytest.mark.parametrize("line", ["aigc ask --no-such-option hi", "aigc models pull", "aigc config set seed"])
def test_a_line_that_is_wrong_would_be_seen(line: str) -> None:
    assert misunderstood(line)


def constraint_examples(heading: str) -> list[tuple[str, str]]:
    section = page("docs/constraints.md").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return EXAMPLE.findall(section)


@pytest.mark.parametrize(("what", "schema"), constraint_examples("What is enforced"))
def test_a_schema_that_is_said_to_be_enforced_becomes_a_grammar(what: str, schema: str) -> None:
    assert schema_to_gbnf(schema).startswith("root ::="), what


@pytest.mark.parametrize(("what", "schema"), constraint_examples("What is refused"))
def test_a_schema_that_is_said_to_be_refused_is_refused_by_name(what: str, schema: str) -> None:
    keyword = next(iter(re.findall(r"`(\w+)`", what)), "leaves the schema")
    assert json.loads(schema)
    with pytest.raises(UnsupportedFeature, match=keyword):
        schema_to_gbnf(schema)


def tree_entries() -> set[str]:
    """The paths that the README's tree shows."""
    tree = (
        page("README.md").partition("## Where everything is")[2].partition("```text\n")[2].partition("```")[0]
    )
    entries, folder = set(), ""
    for line in tree.splitlines():
        name = line.split()[0]
        if line[0] == " ":
            entries.add(folder + name)
        else:
            entries.add(name)
            folder = name
    return entries


def test_the_tree_shows_what_there_is() -> None:
    package = Path(aigc_cli.__file__).parent
    shown = tree_entries()
    assert [name for name in shown if not (ROOT / name).exists()] == []
    layers = {f"aigc_cli/{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules = {f"aigc_cli/{path.name}" for path in package.glob("*.py")} - {"aigc_cli/__init__.py"}
    assert layers | modules <= shown


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "screens").glob("*.svg")), ids=page_name)
def test_a_picture_is_sound_and_shown_and_holds_nothing_from_elsewhere(path: Path) -> None:
    root = ET.parse(path).getroot()
    text = "".join(root.itertext())
    assert "$ aigc" in text
    assert not re.search(r"href|url\(|/home/|/root/|/tmp/", path.read_text("utf-8"))
    assert any(path.name in page.read_text("utf-8") for page in PAGES), "no page shows it"


def test_the_changelog_knows_this_version_or_what_comes_next() -> None:
    changelog = page("CHANGELOG.md")
    assert "## [Unreleased]" in changelog or f"## [{aigc_cli.__version__}]" in changelog


def test_the_project_file_names_files_that_exist() -> None:
    project = tomllib.loads(page("pyproject.toml"))
    named = [project["project"]["readme"], *project["project"]["license-files"]]
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [name for name in (*named, *included) if not (ROOT / name).exists()] == []
