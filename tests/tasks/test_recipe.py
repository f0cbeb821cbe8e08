"""A recipe's file: what it can say, and what is said of one that makes no sense."""

from pathlib import Path

import pytest

from aigc_cli.config import Directories
from aigc_cli.errors import ConfigError, UsageError
from aigc_cli.tasks.cookbook import built_in_cookbook, open_cookbook, render_question
from aigc_cli.tasks.recipe import Origin, Output, Recipe, parse_recipe

WHOLE = """---
help: |
  greet
  somebody
arguments:
  - {name: who, help: whom, option: false}
  - {name: tone, default: plain, choices: [plain, formal]}
output: code
languages: [python]
sampling: {temperature: 0.5, top_k: 3}
inputs: {today: date}
---

Greet {{ who }}, {{ tone }}.
"""


def parse(source: str, name: str = "greet", origin: Origin = Origin.USER) -> Recipe:
    return parse_recipe(source, Path(f"{name}.md"), origin)


def test_everything_that_a_recipe_can_say_is_read() -> None:
    recipe = parse(WHOLE)
    assert (recipe.name, recipe.help, recipe.output) == ("greet", "greet somebody", Output.CODE)
    who, tone = recipe.arguments
    assert recipe.words == who
    assert (tone.default, tone.choices, tone.is_option) == ("plain", ("plain", "formal"), True)
    assert recipe.languages == ("python",)
    assert recipe.sampling == {"temperature": 0.5, "top_k": 3}
    assert recipe.inputs == {"today": "date"}
    assert recipe.template == "Greet {{ who }}, {{ tone }}."


def test_a_recipe_needs_a_help_line_and_a_question_only() -> None:
    recipe = parse("---\nhelp: x\n---\nSay x.\n")
    assert (recipe.output, recipe.arguments, recipe.template) == (Output.TEXT, (), "Say x.")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("Say x.", "begins with lines"),
        ("---\nhelp: x\n", "begins with lines"),
        ("---\n- x\n---\nSay.", "no table"),
        ("---\nhelp: [\n---\nSay.", "expected"),
        ("---\noutput: text\n---\nSay.", "help is missing"),
        ("---\nhelp: x\n---\n \n", "nothing to ask"),
        ("---\nhelp: x\nhelpp: y\n---\nSay.", "no 'helpp'"),
        ("---\nhelp: x\noutput: pdf\n---\nSay.", "output is 'pdf'"),
        ("---\nhelp: x\noutput: [text]\n---\nSay.", "output is"),
        ("---\nhelp: x\narguments: who\n---\nSay.", "no list"),
        ("---\nhelp: x\narguments: [who]\n---\nSay.", "needs a name"),
        ("---\nhelp: x\narguments: [{name: A b}]\n---\nSay.", "needs a name"),
        ("---\nhelp: x\narguments: [{name: model}]\n---\nSay.", "can be called 'model'"),
        ("---\nhelp: x\narguments: [{name: a, size: 3}]\n---\nSay.", "no 'size'"),
        ("---\nhelp: x\narguments: [{name: a}, {name: a}]\n---\nSay.", "same name"),
        ("---\nhelp: x\narguments: [{name: a, option: false}, {name: b, option: false}]\n---\nSay.", "words"),
        ("---\nhelp: x\nsampling: {heat: 1}\n---\nSay.", "no 'heat'"),
        ("---\nhelp: x\nsampling: {temperature: hot}\n---\nSay.", "'hot'"),
        ("---\nhelp: x\ninputs: date\n---\nSay.", "table of commands"),
        ("---\nhelp: x\nlanguages: python\n---\nSay.", "no list"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_with_its_file_and_the_reason(
    source: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=r"greet\.md") as caught:
        parse(source)
    assert reason in caught.value.message


def test_a_name_that_is_no_command_s_is_refused() -> None:
    with pytest.raises(ConfigError, match="name"):
        parse("---\nhelp: x\n---\nSay.", name="Über uns")


def test_outputs_that_need_code_of_aigc_are_for_built_in_recipes_alone() -> None:
    source = "---\nhelp: x\noutput: findings\n---\nSay."
    assert parse(source, origin=Origin.BUILT_IN).output is Output.FINDINGS
    with pytest.raises(ConfigError, match="findings"):
        parse(source)


def test_every_built_in_recipe_can_be_read() -> None:
    cookbook = built_in_cookbook()
    assert {"explain", "review", "summarize", "classify", "shell", "commit"} <= set(cookbook.names())
    for name in cookbook.names():
        assert cookbook.recipe(name).origin is Origin.BUILT_IN


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ nobody }}", "nobody"),
        ("{% if %}", "line 1"),
        ("{{ 1 / 0 }}", "division"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe|undefined|access"),
        ("{% for i in range(1000000000) %}x{% endfor %}", "too big|range"),
    ],
)
def test_a_template_can_do_no_harm_and_its_mistake_is_told(template: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"(?i)greet.md.*({reason})"):
        render_question(parse(f"---\nhelp: x\n---\n{template}"), {})


def cookbook_in(tmp_path: Path, project: Path) -> Directories:
    (project / ".aigc" / "recipes").mkdir(parents=True)
    (tmp_path / "config" / "recipes").mkdir(parents=True)
    return Directories(tmp_path / "config", tmp_path / "data", tmp_path / "cache", tmp_path / "state")


def test_a_project_s_recipe_goes_before_a_person_s_own_and_that_before_a_built_in_one(tmp_path: Path) -> None:
    project = tmp_path / "project"
    directories = cookbook_in(tmp_path, project)
    below = project / "src"
    below.mkdir()
    own = tmp_path / "config" / "recipes" / "explain.md"
    own.write_text("---\nhelp: mine\n---\nSay.", encoding="utf-8")
    assert open_cookbook(directories, below).recipe("explain").help == "mine"
    shared = project / ".aigc" / "recipes" / "explain.md"
    shared.write_text("---\nhelp: ours\n---\nSay.", encoding="utf-8")
    assert open_cookbook(directories, below).recipe("explain").help == "ours"
    assert open_cookbook(directories, tmp_path).recipe("explain").help == "mine"


def test_trust_is_for_one_text_of_one_file(tmp_path: Path) -> None:
    project = tmp_path / "project"
    directories = cookbook_in(tmp_path, project)
    file = project / ".aigc" / "recipes" / "log.md"
    file.write_text("---\nhelp: x\ninputs: {log: git log}\n---\n{{ inputs.log }}", encoding="utf-8")
    cookbook = open_cookbook(directories, project)
    assert not cookbook.is_trusted(cookbook.recipe("log"))
    cookbook.trust(cookbook.recipe("log"))
    assert cookbook.is_trusted(cookbook.recipe("log"))
    file.write_text(file.read_text(encoding="utf-8").replace("git log", "rm -r ~"), encoding="utf-8")
    assert not cookbook.is_trusted(cookbook.recipe("log"))


def test_an_unknown_an_unreadable_and_a_huge_recipe_are_told(tmp_path: Path) -> None:
    directories = cookbook_in(tmp_path, tmp_path / "project")
    cookbook = open_cookbook(directories, tmp_path)
    with pytest.raises(UsageError, match="no recipe is called 'nothing'"):
        cookbook.recipe("nothing")
    own = tmp_path / "config" / "recipes"
    (own / "latin.md").write_bytes(b"---\nhelp: \xe9\n---\nSay.")
    (own / "huge.md").write_text("---\nhelp: x\n---\n" + "x" * 70_000, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"latin\.md"):
        cookbook.recipe("latin")
    with pytest.raises(ConfigError, match="longer than"):
        cookbook.recipe("huge")
