"""Properties of an edit: what is kept is kept for any text, and a difference applied is the new text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.tasks.edit import EditTask
from aigc_cli.tasks.hunks import changes_between, hunks_of, lines_of, with_changes
from aigc_cli.tasks.journal import Journal, Replacement
from aigc_cli.tasks.reindent import as_before, dedented, indented
from aigc_cli.tasks.text_file import TextFile, with_line_ends

LINES = st.lists(st.text(st.sampled_from("ab \t(){}中`#"), max_size=8), max_size=12)
ENDS = st.sampled_from(["\n", "\r\n"])
TEXTS = st.tuples(LINES, st.lists(ENDS, min_size=13, max_size=13), st.booleans()).map(
    lambda drawn: "".join(
        line + ("" if i == len(drawn[0]) - 1 and drawn[2] else drawn[1][i]) for i, line in enumerate(drawn[0])
    )
)
ENCODINGS = st.sampled_from([("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe")])


def text_file(text: str, encoding: str = "utf-8", mark: bytes = b"") -> TextFile:
    return TextFile(Path("a"), "a", mark + text.encode(encoding), text)


@given(TEXTS)
def test_the_same_text_comes_back_as_it_was(text: str) -> None:
    file = text_file(text)
    assert file.with_text(file.text) == text


@given(TEXTS, TEXTS)
def test_line_ends_change_no_line(old: str, new: str) -> None:
    plain = new.replace("\r\n", "\n")
    assert with_line_ends(old, plain).replace("\r\n", "\n") == plain


@given(TEXTS, TEXTS)
def test_all_changes_make_the_new_text_and_none_the_old(old: str, new: str) -> None:
    changes = changes_between(old, new)
    assert with_changes(old, changes, range(len(changes))) == new
    assert with_changes(old, changes, ()) == old


@given(TEXTS, TEXTS)
def test_hunks_hold_every_change_once(old: str, new: str) -> None:
    changes = changes_between(old, new)
    lines = [line for hunk in hunks_of(old, changes) for line in hunk.lines]
    assert [line for sign, line in lines if sign == "-"] == [line for each in changes for line in each.old]
    assert [line for sign, line in lines if sign == "+"] == [line for each in changes for line in each.new]
    for hunk in hunks_of(old, changes):
        assert [line for sign, line in hunk.lines if sign != "+"] == lines_of(old)[hunk.old_start :][
            : hunk.n_old
        ]
        assert [line for sign, line in hunk.lines if sign != "-"] == lines_of(new)[hunk.new_start :][
            : hunk.n_new
        ]


@given(TEXTS)
def test_what_is_dedented_can_be_indented_again(text: str) -> None:
    plain = text.replace("\r\n", "\n")
    inner, indent = dedented(plain)
    assert indented(inner, indent) == plain


@given(TEXTS)
def test_a_copy_is_no_change(text: str) -> None:
    plain = text.replace("\r\n", "\n")
    assert as_before(plain, plain, "rename a to b") == plain


@given(TEXTS.filter(lambda text: bool(text.strip())), st.data())
def test_a_reply_that_copies_a_part_is_no_change(text: str, data: st.DataObject) -> None:
    file = text_file(text)
    n_lines = len(lines_of(file.text))
    first = data.draw(st.integers(1, n_lines))
    part = (first, data.draw(st.integers(first, n_lines)))
    task = EditTask(file, "rename a to b", None, data.draw(st.sampled_from([None, part])))
    new = task.with_reply(f"{task.old}\n{task.fence}\nThat is all.")
    assert new in ("", file.text) if not task.old.strip() else new == file.text


@given(TEXTS, TEXTS, ENCODINGS)
def test_an_edit_applied_and_undone_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, old: str, new: str, encoded: tuple[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("edit")
    file = text_file(old, *encoded)
    path = folder / "a"
    path.write_bytes(file.content)
    after = file.encoded(file.with_text(new.replace("\r\n", "\n")))
    assert after.startswith(encoded[1])
    journal = Journal(folder, lambda: 0.0)
    journal.apply([Replacement(path, "a", file.content, after)], "edit")
    assert path.read_bytes() == after
    change = journal.to_undo(folder)
    journal.restore(change, journal.plan(change))
    assert path.read_bytes() == file.content
