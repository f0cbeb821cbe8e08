from aigc_cli.render.tree import tree_rows
from aigc_cli.render.wrap import measure

FILES = [
    ("app/main.py", "routes"),
    ("app/static/index.html", "page\nof it"),
    ("app/db.py", ""),
    ("文件.md", "中文"),
]


def test_files_stand_below_their_directories() -> None:
    assert "\n".join(tree_rows("todo/", FILES)) == (
        "todo/\n"
        "├── app/\n"
        "│   ├── main.py         routes\n"
        "│   ├── static/\n"
        "│   │   └── index.html  page of it\n"
        "│   └── db.py\n"
        "└── 文件.md             中文"
    )


def test_rows_are_cut_at_the_edge_of_the_window() -> None:
    for columns in range(4, 40):
        assert all(measure(row) <= columns for row in tree_rows("todo/", FILES, columns))


def test_escape_sequences_are_removed() -> None:
    assert "\x1b" not in "".join(tree_rows("\x1b[2J", [("a\x1b]0;x\x07", "\x1b[31mred")]))


def test_a_long_name_does_not_push_all_remarks_aside() -> None:
    rows = tree_rows("x", [("a" * 80, "one"), ("b", "two")])
    assert rows[1].endswith("a  one")
    assert rows[2] == "└── b  two"
