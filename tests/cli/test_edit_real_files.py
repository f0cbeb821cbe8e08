"""Real code through `aigc edit` with a scripted model: exact where applied, untouched where refused."""

import os
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import pytest

from aigc_cli.engine.base import Request
from aigc_cli.tasks.languages import language_of
from aigc_cli.tasks.syntax import parse
from tests.cli.command_line import CommandLine

FILES_OF_EACH = 17
MOST_BYTES = 24_000
MOST_SEEN = 400_000
SUFFIXES = (
    *(".py", ".js", ".h", ".hpp", ".php", ".sh", ".pl", ".json", ".yaml", ".toml", ".md", ".css", ".html"),
    *(".sql", ".c", ".pyi", ".xml", ".cmake"),
)
ROOTS = (
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("purelib"),
    "/usr/include",
    "/usr/share",
    "/usr/lib",
    "/usr/local/lib",
    sys.prefix,
)
KEYWORDS = re.compile(
    "array|async|await|break|class|const|continue|default|define|endif|export|extern|false|final|foreach"
    "|function|global|import|include|inline|namespace|private|protected|public|return|static|string|struct"
    "|super|switch|template|throw|typedef|typeof|union|unless|unsigned|using|while|yield"
)
LEFT_OUT = ("# ... rest of the code ...", "// rest of the code unchanged", "<!-- 其余代码不变 -->")


def paths() -> Iterator[Path]:
    n_seen = 0
    for root in dict.fromkeys(ROOTS):
        for folder, folders, names in os.walk(root):
            folders.sort()
            taken: Counter[str] = Counter()
            for name in sorted(names):
                n_seen += 1
                suffix = Path(name).suffix
                taken[suffix] += 1
                if suffix in SUFFIXES and taken[suffix] <= 3:  # of one directory: the next has other code
                    yield Path(folder, name)
            if n_seen > MOST_SEEN:
                return


@cache
def real_files() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {suffix: [] for suffix in SUFFIXES}
    for path in paths():
        files = found[path.suffix]
        if len(files) < FILES_OF_EACH and is_suitable(path):
            files.append(path)
        if all(len(files) == FILES_OF_EACH for files in found.values()):
            break
    return found


def is_suitable(path: Path) -> bool:
    try:
        if path.is_symlink() or not 200 < path.stat().st_size < MOST_BYTES:
            return False
        return bool(word_of(path.read_bytes().decode()))
    except (OSError, UnicodeDecodeError):
        return False


def word_of(text: str) -> str:
    """The word that is renamed: one that occurs several times."""
    words = Counter(word for word in re.findall(r"\b[a-z]{5,}\b", text) if not KEYWORDS.fullmatch(word))
    return next((word for word, n in words.most_common() if n > 1), "")


def left_out(number: int, request: Request) -> str:
    return f"{request.prediction[:150]}\n{LEFT_OUT[number % 3]}\n"


def renamed(content: bytes, word: str) -> bytes:
    return re.sub(rb"\b%b\b" % word.encode(), word.encode() + b"x", content)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_applied_is_exact_refused_is_untouched_undone_is_as_before(aigc: CommandLine, suffix: str) -> None:
    files = real_files()[suffix]
    if len(files) < FILES_OF_EACH:
        pytest.skip(f"only {len(files)} files {suffix} are installed here")
    aigc.n_ctx = 1_000_000
    n_applied = 0
    for number, original in enumerate(files):
        before = original.read_bytes()
        copy = aigc.cwd / f"{number}{original.name}"
        copy.write_bytes(before)
        word = word_of(before.decode())

        def rename(request: Request, word: str = word) -> str:
            return renamed(request.prediction.encode(), word).decode()

        aigc.replies = [rename]
        outcome = aigc.run("edit", copy.name, f"rename {word} to {word}x", "-y")
        if outcome.code == 0:
            n_applied += 1
            assert copy.read_bytes() == renamed(before, word), original
            assert aigc.run("undo").code == 0
        else:
            assert outcome.code == 5, (original, outcome.err)
            after = parse(language_of(original), renamed(before, word).decode())
            assert after.problems, (original, outcome.err)  # the word was a keyword
        assert copy.read_bytes() == before, original

        aigc.replies = [partial(left_out, number)]
        outcome = aigc.run("edit", copy.name, "add a comment", "-y")
        assert outcome.code == 5, (original, outcome.err)
        assert copy.read_bytes() == before, original
    assert n_applied >= FILES_OF_EACH // 2


def test_there_are_enough_of_them() -> None:
    complete = [suffix for suffix, files in real_files().items() if len(files) == FILES_OF_EACH]
    if len(complete) < 12:
        pytest.skip(f"files of only {len(complete)} languages are installed here: {' '.join(complete)}")
    assert sum(len(real_files()[suffix]) for suffix in complete) >= 200
