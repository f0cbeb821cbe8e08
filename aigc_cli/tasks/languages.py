"""Which language a file is in: the tag of its fence, its name for people, how it writes a comment."""

import re
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes:
        tag: info string of a fence, as Pygments and models know it.
        name: for people.
        suffixes: of file names, the usual one first.
        line_comment: what starts a comment; empty if there is only `block_comment`.
        block_comment: what opens and closes a comment; empty strings if there is none.
        names: whole file names, such as Makefile.
        interpreters: programs that a `#!` line names.
        aliases: other tags for the same language.
    """

    tag: str
    name: str
    suffixes: tuple[str, ...] = ()
    line_comment: str = ""
    block_comment: tuple[str, str] = ("", "")
    names: tuple[str, ...] = ()
    interpreters: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


_C = ("/*", "*/")
_XML = ("<!--", "-->")
PLAIN = Language("text", "plain text", (".txt",), aliases=("plain", "plaintext", "txt"))

LANGUAGES = (
    Language(
        "python", "Python", (".py", ".pyi", ".pyw"), "#", interpreters=("python",), aliases=("py", "python3")
    ),
    Language(
        "javascript", "JavaScript", (".js", ".mjs", ".cjs"), "//", _C, interpreters=("node",), aliases=("js",)
    ),
    Language("jsx", "JSX", (".jsx",), "//", _C),
    Language(
        "typescript", "TypeScript", (".ts", ".mts", ".cts"), "//", _C, interpreters=("deno",), aliases=("ts",)
    ),
    Language("tsx", "TSX", (".tsx",), "//", _C),
    Language("go", "Go", (".go",), "//", _C, aliases=("golang",)),
    Language("rust", "Rust", (".rs",), "//", _C, aliases=("rs",)),
    Language("c", "C", (".c", ".h"), "//", _C),
    Language("cpp", "C++", (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"), "//", _C, aliases=("c++",)),
    Language("csharp", "C#", (".cs",), "//", _C, aliases=("cs", "c#")),
    Language("java", "Java", (".java",), "//", _C),
    Language("kotlin", "Kotlin", (".kt", ".kts"), "//", _C, aliases=("kt",)),
    Language("swift", "Swift", (".swift",), "//", _C),
    Language("scala", "Scala", (".scala", ".sc"), "//", _C),
    Language("dart", "Dart", (".dart",), "//", _C),
    Language("php", "PHP", (".php",), "//", _C, interpreters=("php",)),
    Language(
        "ruby", "Ruby", (".rb",), "#", names=("Gemfile", "Rakefile"), interpreters=("ruby",), aliases=("rb",)
    ),
    Language("perl", "Perl", (".pl", ".pm"), "#", interpreters=("perl",)),
    Language("lua", "Lua", (".lua",), "--", ("--[[", "]]"), interpreters=("lua",)),
    Language("r", "R", (".r",), "#", interpreters=("rscript",)),
    Language("julia", "Julia", (".jl",), "#", ("#=", "=#"), interpreters=("julia",)),
    Language("elixir", "Elixir", (".ex", ".exs"), "#", interpreters=("elixir",)),
    Language("haskell", "Haskell", (".hs",), "--", ("{-", "-}")),
    Language("ocaml", "OCaml", (".ml", ".mli"), "", ("(*", "*)")),
    Language("zig", "Zig", (".zig",), "//"),
    Language(
        "bash",
        "shell",
        (".sh", ".bash", ".zsh"),
        "#",
        names=(".bashrc", ".zshrc", ".profile"),
        interpreters=("bash", "sh", "zsh", "dash"),
        aliases=("sh", "shell", "zsh"),
    ),
    Language("fish", "fish", (".fish",), "#", interpreters=("fish",)),
    Language("powershell", "PowerShell", (".ps1", ".psm1"), "#", ("<#", "#>"), interpreters=("pwsh",)),
    Language("bat", "batch", (".bat", ".cmd"), "REM", aliases=("batch",)),
    Language("sql", "SQL", (".sql",), "--", _C),
    Language("html", "HTML", (".html", ".htm"), "", _XML),
    Language("css", "CSS", (".css",), "", _C),
    Language("scss", "SCSS", (".scss",), "//", _C),
    Language("vue", "Vue", (".vue",), "", _XML),
    Language("xml", "XML", (".xml", ".svg", ".xsd"), "", _XML),
    Language("json", "JSON", (".json",), aliases=("jsonc",)),
    Language("yaml", "YAML", (".yaml", ".yml"), "#", aliases=("yml",)),
    Language("toml", "TOML", (".toml",), "#", names=("Cargo.lock", "poetry.lock", "uv.lock")),
    Language("ini", "INI", (".ini", ".cfg", ".conf"), ";", names=(".editorconfig", ".gitconfig")),
    Language("markdown", "Markdown", (".md", ".markdown"), "", _XML, aliases=("md",)),
    Language("rst", "reStructuredText", (".rst",), ".."),
    Language("latex", "LaTeX", (".tex", ".sty"), "%", aliases=("tex",)),
    Language("diff", "diff", (".diff", ".patch"), aliases=("patch",)),
    Language(
        "dockerfile",
        "Dockerfile",
        (".dockerfile",),
        "#",
        names=("Dockerfile", "Containerfile"),
        aliases=("docker",),
    ),
    Language(
        "makefile",
        "Makefile",
        (".mk",),
        "#",
        names=("Makefile", "GNUmakefile"),
        interpreters=("make",),
        aliases=("make",),
    ),
    Language("cmake", "CMake", (".cmake",), "#", names=("CMakeLists.txt",)),
    Language("terraform", "Terraform", (".tf", ".tfvars"), "#", _C, aliases=("hcl",)),
    Language("protobuf", "Protocol Buffers", (".proto",), "//", _C, aliases=("proto",)),
    Language("graphql", "GraphQL", (".graphql", ".gql"), "#"),
    Language("nix", "Nix", (".nix",), "#", _C),
    PLAIN,
)

_BY_SUFFIX = {suffix: language for language in LANGUAGES for suffix in language.suffixes}
_BY_NAME = {name.lower(): language for language in LANGUAGES for name in language.names}
_BY_TAG = {tag: language for language in LANGUAGES for tag in (language.tag, *language.aliases)}
_BY_INTERPRETER = {program: language for language in LANGUAGES for program in language.interpreters}
# "#!/usr/bin/env -S python3.12 -u" names python
_SHEBANG = re.compile(r"^#!\s*(?:\S*/)?(?:env(?:\s+-\S+)*\s+(?:\S*/)?)?([A-Za-z]+)")


def language_of(name: str | PurePath, text: str = "") -> Language | None:
    """The language of a file, by its name, else by the `#!` line of its text; None if neither tells."""
    path = PurePath(name)
    stem = path.name.lower()
    if language := _BY_NAME.get(stem) or _BY_SUFFIX.get(path.suffix.lower()):
        return language
    if language := _BY_NAME.get(stem.partition(".")[0]):  # Dockerfile.dev, Makefile.am
        return language
    match = _SHEBANG.match(text)
    return _BY_INTERPRETER.get(match[1].lower()) if match else None


def language_called(tag: str) -> Language | None:
    """The language that a fence's tag, or a person, calls so: py, Python, c++."""
    wanted = tag.strip().lower()
    return _BY_TAG.get(wanted) or next((each for each in LANGUAGES if each.name.lower() == wanted), None)
