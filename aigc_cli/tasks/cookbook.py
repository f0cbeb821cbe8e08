"""Where recipes are found: the built-in ones, the person's own, the project's; which of one name counts.

A project's recipe that runs a command does so only after the person trusted that very text of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aigc_cli.config import PROJECT_FILE, Directories
from aigc_cli.errors import ConfigError, FileError, UsageError
from aigc_cli.tasks.recipe import Origin, Recipe, parse_recipe

FOLDER = "recipes"
PROJECT_FOLDER = ".aigc/recipes"
_BUILT_IN = Path(__file__).parent / FOLDER
_TRUSTED = "trusted-recipes"
_MOST_BYTES = 65_536  # of one recipe: it is a question, not a book


@dataclass(frozen=True, slots=True)
class Shelf:
    """One directory of recipes."""

    origin: Origin
    folder: Path

    def names(self) -> Iterator[str]:
        """What its files are called; none if the directory is missing."""
        try:
            files = sorted(self.folder.glob("*.md"))
        except OSError:  # a directory that may not be read holds no recipe for this person
            return
        yield from (file.stem for file in files)


@dataclass(frozen=True, slots=True)
class Cookbook:
    """All recipes of a person in a directory; a later shelf's recipe hides an earlier one of its name.

    Attributes:
        trusted: the file that keeps which project recipes may run their commands.
    """

    shelves: tuple[Shelf, ...]
    trusted: Path

    def names(self) -> dict[str, Shelf]:
        """Every recipe's name, and where it is."""
        return {name: shelf for shelf in self.shelves for name in shelf.names()}

    def recipe(self, name: str) -> Recipe:
        """Read one.

        Raises:
            UsageError: there is none of this name.
            ConfigError: it makes no sense.
        """
        shelf = self.names().get(name)
        if shelf is None:
            raise UsageError(f"no recipe is called {name!r}", "aigc recipes list")
        path = shelf.folder / f"{name}.md"
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
            if len(content) > _MOST_BYTES:
                raise ConfigError(f"{path}: longer than {_MOST_BYTES:,} bytes", "attach long texts with -f")
            return parse_recipe(content.decode("utf-8-sig"), path, shelf.origin)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}", "mend the file or move it away") from error

    def is_trusted(self, recipe: Recipe) -> bool:
        """Whether its commands may run."""
        if recipe.origin is not Origin.PROJECT or not recipe.inputs:
            return True
        try:
            return _digest(recipe) in self.trusted.read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError):
            return False

    def trust(self, recipe: Recipe) -> None:
        """Let the commands of this text run from now on."""
        try:
            self.trusted.parent.mkdir(parents=True, exist_ok=True)
            with self.trusted.open("a", encoding="ascii") as file:
                file.write(f"{_digest(recipe)}\n")
        except OSError as error:
            raise FileError(f"{str(self.trusted)!r} can't be written: {error.strerror}") from error


def built_in_cookbook() -> Cookbook:
    """The recipes that come with aigc."""
    return Cookbook((Shelf(Origin.BUILT_IN, _BUILT_IN),), Path())


def open_cookbook(directories: Directories, cwd: Path) -> Cookbook:
    """The recipes that a person has in this directory."""
    shelves = [*built_in_cookbook().shelves, Shelf(Origin.USER, user_folder(directories))]
    if project := project_folder(cwd):
        shelves.append(Shelf(Origin.PROJECT, project))
    return Cookbook(tuple(shelves), directories.state / _TRUSTED)


def user_folder(directories: Directories) -> Path:
    """Where a person's own recipes are."""
    return directories.config / FOLDER


def project_folder(cwd: Path) -> Path | None:
    """The nearest directory of project recipes, here or above."""
    for folder in (cwd, *cwd.parents):
        try:
            if (folder / PROJECT_FOLDER).is_dir():
                return folder / PROJECT_FOLDER
            if (folder / PROJECT_FILE).is_file() or (folder / ".git").exists():
                return None  # the project ends here
        except OSError:  # a directory above that this person can't look into
            continue
    return None


def render_question(recipe: Recipe, values: Mapping[str, Any]) -> str:
    """The question that the template makes of these values.

    Raises:
        ConfigError: the template is no Jinja2, or asks for something that there is not.
    """
    import jinja2  # 25 ms, for the commands that are recipes alone
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    try:
        return environment.from_string(recipe.template).render(values).strip()
    except jinja2.TemplateError as error:
        line = f" line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        raise ConfigError(f"{recipe.path}: template{line}: {error}", "aigc recipes show") from error
    except Exception as error:  # a template can divide by zero or call what can't be called
        raise ConfigError(f"{recipe.path}: template: {error}", "aigc recipes show") from error


def _digest(recipe: Recipe) -> str:
    import hashlib  # 3 ms, for a project's recipe that runs a command alone

    return hashlib.sha256(f"{recipe.path}\n{recipe.source}".encode()).hexdigest()
