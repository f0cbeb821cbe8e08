import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.engine.base import JsonSchema, Sampling
from aigc_cli.engine.json_grammar import schema_to_gbnf
from aigc_cli.errors import CheckFailed
from aigc_cli.tasks.project_plan import MOST_FILES, PLAN_SCHEMA, plan_as_json, plan_request, read_plan


def planned(*files: tuple[str, list[str]], run: list[str] | None = None) -> str:
    return json.dumps(
        {
            "files": [
                {"path": path, "purpose": f"about {path}", "language": "python", "depends_on": uses}
                for path, uses in files
            ],
            "run": run or [],
        }
    )


def paths(text: str) -> list[str]:
    return [file.path for file in read_plan(text)[0].files]


def test_the_request_is_bound_by_a_schema() -> None:
    request = plan_request("a shop", (), None, Sampling(), ["'x': it names no file"])
    assert isinstance(request.constraint, JsonSchema)
    assert schema_to_gbnf(request.constraint.schema).startswith("root ::=")
    assert "'x': it names no file" in request.prompt.messages[-1].content  # type: ignore[union-attr]


def test_what_a_file_uses_comes_before_it() -> None:
    assert paths(planned(("app.py", ["db.py", "models.py"]), ("models.py", ["db.py"]), ("db.py", []))) == [
        "db.py",
        "models.py",
        "app.py",
    ]


def test_without_dependencies_the_order_is_the_plans_own() -> None:
    assert paths(planned(("b.py", []), ("a.py", []))) == ["b.py", "a.py"]


def test_a_circle_is_opened_at_the_file_that_was_planned_first() -> None:
    plan, problems = read_plan(
        planned(("app.py", ["a.py"]), ("a.py", ["b.py"]), ("b.py", ["c.py"]), ("c.py", ["a.py"]))
    )
    assert problems == []
    assert [(file.path, file.depends_on) for file in plan.files] == [
        ("a.py", ()),
        ("app.py", ("a.py",)),
        ("c.py", ("a.py",)),
        ("b.py", ("c.py",)),
    ]


def test_dependencies_mean_files_of_the_plan() -> None:
    text = planned(("src/db.py", []), ("a.py", ["db.py", "./src/db.py", "a.py", "fastapi", "SRC/DB.PY"]))
    assert read_plan(text)[0].files[1].depends_on == ("src/db.py",)


def test_what_is_wrong_is_left_out_and_told() -> None:
    plan, problems = read_plan(
        planned(
            *(("../x.py", []), ("a.py", []), ("A.py", []), ("a.py", []), ("a.py/b.py", []), ("NUL.txt", [])),
            *(
                ("src/", []),
                ("README.md", []),
                ("readme.md/x", []),
                ("c/d.py", []),
                ("c", []),
                ("a.draft", []),
            ),
        )
    )
    assert [file.path for file in plan.files] == ["a.py", "c/d.py"]
    assert [problem.partition(":")[0] for problem in problems] == [
        *("'../x.py'", "'A.py'", "'a.py/b.py'", "'NUL.txt'", "'readme.md/x'", "'c'", "'a.draft'")
    ]


def test_a_plan_has_at_most_twenty_files() -> None:
    plan, problems = read_plan(planned(*((f"f{n}.py", []) for n in range(30))))
    assert len(plan.files) == MOST_FILES == 20
    assert problems == ["it has more than 20 files"]


def test_commands_that_name_what_nobody_planned_are_left_out() -> None:
    run = [
        "pip install fastapi",
        "python app.py",
        "python main.py",
        "npm init -y package.json",
        "a\x1b[2J\nb",
    ]
    assert read_plan(planned(("app.py", []), run=run))[0].run == (
        "pip install fastapi",
        "python app.py",
        "npm init -y package.json",
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": 3}', '{"files": [3, {}]}', "nonsense", planned(("..", []))]
)
def test_a_plan_without_files_is_none(text: str) -> None:
    with pytest.raises(CheckFailed):
        read_plan(text)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FILE = st.fixed_dictionaries(
    {},
    optional={
        "path": st.sampled_from(["a", "b", "a/b", "A", "../x", "c/d.py", "README.md"]) | JSON,
        "purpose": JSON,
        "language": JSON,
        "depends_on": st.lists(st.sampled_from(["a", "b", "a/b", "d.py"]), max_size=3) | JSON,
    },
)


@given(st.fixed_dictionaries({"files": st.lists(FILE, max_size=8) | JSON, "run": JSON}))
def test_whatever_the_model_says_the_plan_is_sound(said: Any) -> None:
    try:
        plan, _ = read_plan(json.dumps(said))
    except CheckFailed:
        return
    names = [file.path for file in plan.files]
    assert len(set(names)) == len(names)
    for index, file in enumerate(plan.files):
        assert set(file.depends_on) <= set(names[:index])
    again, problems = read_plan(json.dumps(plan_as_json(plan)))
    assert (again, problems) == (plan, [])


def test_a_plan_that_is_kept_fits_the_schema() -> None:
    plan, _ = read_plan(planned(("a.py", []), ("b.py", ["a.py"]), run=["python b.py"]))
    kept = plan_as_json(plan)
    assert [file["path"] for file in kept["files"]] == ["a.py", "b.py"]
    assert list(jsonschema.Draft202012Validator(PLAN_SCHEMA).iter_errors(kept)) == []
