from collections import Counter

import pytest
from pygments.lexers import find_lexer_class_by_name

from aigc_cli.tasks.languages import LANGUAGES, Language, language_called, language_of


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("a.py", "python"),
        ("dir.d/App.TSX", "tsx"),
        ("x.h", "c"),
        ("Dockerfile", "dockerfile"),
        ("Dockerfile.dev", "dockerfile"),
        ("sub/Makefile", "makefile"),
        ("CMakeLists.txt", "cmake"),
        ("notes.txt", "text"),
        ("变量.rs", "rust"),
        (".bashrc", "bash"),
        ("archive.tar.gz", None),
        ("LICENSE", None),
        ("", None),
    ],
)
def test_a_file_name_tells_the_language(name: str, tag: str | None) -> None:
    language = language_of(name)
    assert (language.tag if language else None) == tag


@pytest.mark.parametrize(
    ("first_line", "tag"),
    [
        ("#!/bin/sh", "bash"),
        ("#!/usr/bin/env python3", "python"),
        ("#!/usr/bin/env -S python3.12 -u", "python"),
        ("#! /opt/local/bin/node --harmony", "javascript"),
        ("#!/usr/bin/env unheard-of", None),
        ("# just a comment", None),
    ],
)
def test_a_script_without_a_suffix_tells_it_in_its_first_line(first_line: str, tag: str | None) -> None:
    language = language_of("tool", first_line + "\nrest")
    assert (language.tag if language else None) == tag


@pytest.mark.parametrize(
    ("called", "tag"), [("py", "python"), ("C++", "cpp"), (" Go ", "go"), ("shell", "bash")]
)
def test_people_and_models_use_many_names(called: str, tag: str) -> None:
    language = language_called(called)
    assert language is not None
    assert language.tag == tag


def test_a_language_that_nobody_knows_is_none() -> None:
    assert language_called("klingon") is None


@pytest.mark.parametrize("field", ["suffixes", "names", "interpreters"])
def test_no_two_languages_claim_the_same(field: str) -> None:
    claims = Counter(claim for language in LANGUAGES for claim in getattr(language, field))
    assert [claim for claim, n in claims.items() if n > 1] == []


def test_no_two_languages_are_called_the_same() -> None:
    tags = Counter(tag for language in LANGUAGES for tag in (language.tag, *language.aliases))
    assert [tag for tag, n in tags.items() if n > 1] == []


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.tag)
def test_pygments_knows_every_tag(language: Language) -> None:
    assert find_lexer_class_by_name(language.tag)
