"""Compares each page with its twin in the other language: what differs is not up to the language.

    python -m docs.twins           tell what differs; exit with 1 when something does

Only words are translated: code, links, pictures and figures are the same in both, and so is how many
headings, paragraphs, list items and table rows there are. Comments and quoted text in a block of shell lines
are words too, and so is what stands beside the names of a tree.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Made whole from the code, whose help texts and docstrings are English, or from measurements.
ENGLISH_ONLY = frozenset({"docs/commands.md", "docs/code.md", "docs/benchmarks.md", "CHANGELOG.md"})
README, README_ZH = "README.md", "README.zh-CN.md"
ENGLISH, CHINESE = "docs", "docs/zh"

FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$\n?", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)((?:(?!\n\n).)+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FIGURE = re.compile(r"(?<![\w.,])\d[\d,.]*(?<![.,])")
ITEM = re.compile(r" *(-|\d+\.) ")
PARAGRAPH = re.compile(r"\n*(?! *(-|\d+\.) |[|\0]|!\[)\S")  # no list, table, block or picture
COMMENT = re.compile(r"<!--.*?-->")
SHELL_COMMENT = re.compile(r"(^|\s)#\s.*$")
TREE_LINE = re.compile(r"^( *\S+) {3,}\S.*$", re.MULTILINE)  # a name, and words about it
QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


@dataclass(frozen=True, slots=True)
class Section:
    """What a part of a page between two headings holds apart from its words."""

    title: str
    code: frozenset[str]
    links: frozenset[str]
    figures: frozenset[str]
    blocks: tuple[str, ...]
    n_rows: int
    n_items: int
    n_paragraphs: int


def twin_of(page: str) -> str:
    """Where the page in the other language is, as a path below the root."""
    if page in (README, README_ZH):
        return README_ZH if page == README else README
    folder, _, name = page.rpartition("/")
    return f"{ENGLISH if folder == CHINESE else CHINESE}/{name}"


def pages(root: Path = ROOT) -> list[str]:
    """Every page that has to have a twin, of either language."""
    found = [*root.glob("*.md"), *(root / ENGLISH).glob("*.md"), *(root / CHINESE).glob("*.md")]
    return sorted({path.relative_to(root).as_posix() for path in found} - ENGLISH_ONLY)


def sections(page: str, text: str) -> list[Section]:
    """The parts of a page, the one before its first heading not among them."""
    blocks: list[str] = []

    def keep(block: re.Match[str]) -> str:
        blocks.append(_skeleton(block["language"], block["text"]))
        return f"\0{len(blocks) - 1}\0\n"

    parts = HEADING.split(FENCED.sub(keep, text))
    return [_section(page, part, blocks) for part in parts[1:]]


def _section(page: str, part: str, blocks: list[str]) -> Section:
    title, _, body = part.partition("\n")
    prose = LINK.sub("]", SPAN.sub("``", body))
    lines = body.splitlines()
    return Section(
        title,
        frozenset(" ".join(span[2].split()) for span in SPAN.finditer(part)),
        frozenset(_common(page, target) for target in LINK.findall(body)),
        frozenset(FIGURE.findall(prose)),
        tuple(blocks[int(number)] for number in re.findall("\0(\\d+)\0", body)),
        sum(line.startswith("|") for line in lines),
        sum(bool(ITEM.match(line)) for line in lines),
        sum(PARAGRAPH.match(part) is not None for part in COMMENT.sub("", body).split("\n\n")),
    )


def _skeleton(language: str, text: str) -> str:
    """A block without what is translated in it."""
    if language == "text":
        return TREE_LINE.sub(r"\1", text)
    if language != "sh":
        return text
    bare = (QUOTED.sub("''", SHELL_COMMENT.sub("", line)).rstrip() for line in text.splitlines())
    return "\n".join(" ".join(line.split()) for line in bare)


def _common(page: str, target: str) -> str:
    """A link as the English page would name it, without the anchor: headings are translated."""
    path = target.partition("#")[0]
    if re.match(r"https?:", target) or not path:
        return target if path else "#"
    parts: list[str] = []
    for part in [*page.split("/")[:-1], *path.split("/")]:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    common = "/".join(parts).replace("-zh.svg", ".svg")
    return README if common == README_ZH else common.replace(f"{CHINESE}/", f"{ENGLISH}/")


def differences(page: str, text: str, twin_text: str) -> Iterator[str]:
    """What differs between an English page and its Chinese twin, one line each."""
    twin = twin_of(page)
    ours, theirs = sections(page, text), sections(twin, twin_text)
    if len(ours) != len(theirs):
        titles = " | ".join(section.title for section in ours), " | ".join(s.title for s in theirs)
        yield f"{page} has {len(ours)} headings ({titles[0]}), {twin} has {len(theirs)} ({titles[1]})"
        return
    for our, their in zip(ours, theirs, strict=True):
        where = f"{page} '{our.title}' and {twin} '{their.title}'"
        yield from (f"{where}: {what}" for what in _section_differences(our, their))


def _section_differences(our: Section, their: Section) -> Iterator[str]:
    yield from _only("code", our.code, their.code)
    yield from _only("link", our.links - {README}, their.links - {README})
    if missing := our.figures - their.figures:
        yield f"figures missing in Chinese: {_listed(missing)}"
    for number, (left, right) in enumerate(zip(our.blocks, their.blocks, strict=False), start=1):
        if left != right:
            yield f"block {number}: {_first_difference(left, right)}"
    counts = {
        "blocks": (len(our.blocks), len(their.blocks)),
        "table rows": (our.n_rows, their.n_rows),
        "list items": (our.n_items, their.n_items),
        "paragraphs": (our.n_paragraphs, their.n_paragraphs),
    }
    yield from (f"{n} and {m} {what}" for what, (n, m) in counts.items() if n != m)


def _only(what: str, ours: frozenset[str], theirs: frozenset[str]) -> Iterator[str]:
    if ours - theirs:
        yield f"{what} missing in Chinese: {_listed(ours - theirs)}"
    if theirs - ours:
        yield f"{what} only in Chinese: {_listed(theirs - ours)}"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(repr(value) for value in sorted(values))


def _first_difference(left: str, right: str) -> str:
    pairs = zip([*left.splitlines(), ""], [*right.splitlines(), ""], strict=False)
    return next((f"{a!r} and {b!r}" for a, b in pairs if a != b), "one is longer")


def lone_pages(root: Path = ROOT) -> list[str]:
    """Twins that are missing."""
    return [twin for page in pages(root) if not (root / (twin := twin_of(page))).exists()]


def all_differences(root: Path = ROOT) -> list[str]:
    """What differs between all pages and their twins."""
    found = [f"{page} is missing" for page in lone_pages(root)]
    for page in pages(root):
        twin = root / twin_of(page)
        if page.startswith(CHINESE) or page == README_ZH or not twin.exists():
            continue
        found += differences(page, (root / page).read_text("utf-8"), twin.read_text("utf-8"))
    return found


def main() -> int:
    """Tell the differences; gives the exit code."""
    found = all_differences()
    print("\n".join(found))
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
