"""How often a parser complains about real files: `python -m benchmarks.grammars DIRECTORY…`.

Every file below the directories whose name tells a language with a grammar is read, at most --most of each.
Which complaints are false is for a person to see: each is printed.
"""

import argparse
import random
from collections import defaultdict
from pathlib import Path

from aigc_cli.errors import FileError
from aigc_cli.tasks.languages import Language, language_of
from aigc_cli.tasks.syntax import parse
from aigc_cli.tasks.workspace import read_text

MOST_BYTES = 200_000
SHOWN = 10


def real_files(directories: list[Path], most: int) -> dict[Language, list[Path]]:
    """Up to `most` files of each language, drawn with a fixed seed."""
    found: dict[Language, list[Path]] = defaultdict(list)
    for directory in directories:
        for path in sorted(directory.rglob("*")):
            language = language_of(path)
            is_small_file = path.is_file() and not path.is_symlink() and path.stat().st_size <= MOST_BYTES
            if language and language.grammar and is_small_file:
                found[language].append(path)
    draw = random.Random(1)
    return {language: draw.sample(paths, min(most, len(paths))) for language, paths in found.items()}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--most", type=int, default=200)
    arguments = parser.parse_args()
    for language, paths in real_files(arguments.directories, arguments.most).items():
        complaints = []
        for path in paths:
            try:
                parsed = parse(language, read_text(path))
            except FileError:  # not UTF-8
                continue
            complaints += [f"{path}: {each}" for each in (*parsed.problems, *parsed.doubts)[:1]]
        print(f"{language.name}: {len(paths)} files, {len(complaints)} complaints")
        for complaint in complaints[:SHOWN]:
            print(f"    {complaint}")


if __name__ == "__main__":
    main()
