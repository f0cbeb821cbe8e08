"""Which language a file is in: the tag of its fence, its name for people, how it writes a comment."""

import re
from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Grammar:
    """A tree-sitter grammar, in a package of its own.

    Attributes:
        package: the module to import.
        function: what makes the grammar there.
        is_exact: whether all that it complains about is wrong: benchmarks/grammars.py found no good file that
            it complained about. Else its complaints are doubts.
    """

    package: str
    function: str = "language"
    is_exact: bool = True


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
        grammar: what parses it; None leaves it unchecked.
    """

    tag: str
    name: str
    suffixes: tuple[str, ...] = ()
    line_comment: str = ""
    block_comment: tuple[str, str] = ("", "")
    names: tuple[str, ...] = ()
    interpreters: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    grammar: Grammar | None = None


_C = ("/*", "*/")
_XML = ("<!--", "-->")
PLAIN = Language("text", "plain text", (".txt",), aliases=("plain", "plaintext", "txt"))

LANGUAGES = (
    Language(
        "python",
        "Python",
        (".py", ".pyi", ".pyw"),
        "#",
        interpreters=("python",),
        aliases=("py", "python3"),
        grammar=Grammar("tree_sitter_python"),
    ),
    Language(
        "javascript",
        "JavaScript",
        (".js", ".mjs", ".cjs"),
        "//",
        _C,
        interpreters=("node",),
        aliases=("js",),
        grammar=Grammar("tree_sitter_javascript"),
    ),
    Language("jsx", "JSX", (".jsx",), "//", _C, grammar=Grammar("tree_sitter_javascript", is_exact=False)),
    Language(
        "typescript",
        "TypeScript",
        (".ts", ".mts", ".cts"),
        "//",
        _C,
        interpreters=("deno",),
        aliases=("ts",),
        grammar=Grammar("tree_sitter_typescript", "language_typescript", is_exact=False),
    ),
    Language(
        "tsx",
        "TSX",
        (".tsx",),
        "//",
        _C,
        grammar=Grammar("tree_sitter_typescript", "language_tsx", is_exact=False),
    ),
    Language("go", "Go", (".go",), "//", _C, aliases=("golang",), grammar=Grammar("tree_sitter_go")),
    Language("rust", "Rust", (".rs",), "//", _C, aliases=("rs",), grammar=Grammar("tree_sitter_rust")),
    Language("c", "C", (".c", ".h"), "//", _C, grammar=Grammar("tree_sitter_c", is_exact=False)),
    Language(
        "cpp",
        "C++",
        (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"),
        "//",
        _C,
        aliases=("c++",),
        grammar=Grammar("tree_sitter_cpp", is_exact=False),
    ),
    Language(
        "csharp", "C#", (".cs",), "//", _C, aliases=("cs", "c#"), grammar=Grammar("tree_sitter_c_sharp")
    ),
    Language("java", "Java", (".java",), "//", _C, grammar=Grammar("tree_sitter_java")),
    Language(
        "kotlin",
        "Kotlin",
        (".kt", ".kts"),
        "//",
        _C,
        aliases=("kt",),
        grammar=Grammar("tree_sitter_kotlin", is_exact=False),
    ),
    Language("swift", "Swift", (".swift",), "//", _C, grammar=Grammar("tree_sitter_swift")),
    Language(
        "scala", "Scala", (".scala", ".sc"), "//", _C, grammar=Grammar("tree_sitter_scala", is_exact=False)
    ),
    Language("dart", "Dart", (".dart",), "//", _C),
    Language(
        "php",
        "PHP",
        (".php",),
        "//",
        _C,
        interpreters=("php",),
        grammar=Grammar("tree_sitter_php", "language_php", is_exact=False),
    ),
    Language(
        "ruby",
        "Ruby",
        (".rb",),
        "#",
        names=("Gemfile", "Rakefile"),
        interpreters=("ruby",),
        aliases=("rb",),
        grammar=Grammar("tree_sitter_ruby", is_exact=False),
    ),
    Language("perl", "Perl", (".pl", ".pm"), "#", interpreters=("perl",)),
    Language(
        "lua",
        "Lua",
        (".lua",),
        "--",
        ("--[[", "]]"),
        interpreters=("lua",),
        grammar=Grammar("tree_sitter_lua"),
    ),
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
        grammar=Grammar("tree_sitter_bash", is_exact=False),
    ),
    Language("fish", "fish", (".fish",), "#", interpreters=("fish",)),
    Language("powershell", "PowerShell", (".ps1", ".psm1"), "#", ("<#", "#>"), interpreters=("pwsh",)),
    Language("bat", "batch", (".bat", ".cmd"), "REM", aliases=("batch",)),
    Language("sql", "SQL", (".sql",), "--", _C, grammar=Grammar("tree_sitter_sql", is_exact=False)),
    Language(
        "html", "HTML", (".html", ".htm"), "", _XML, grammar=Grammar("tree_sitter_html", is_exact=False)
    ),
    Language("css", "CSS", (".css",), "", _C, grammar=Grammar("tree_sitter_css", is_exact=False)),
    Language("scss", "SCSS", (".scss",), "//", _C),
    Language("vue", "Vue", (".vue",), "", _XML),
    Language("xml", "XML", (".xml", ".svg", ".xsd"), "", _XML),
    Language("json", "JSON", (".json",), aliases=("jsonc",), grammar=Grammar("tree_sitter_json")),
    Language("yaml", "YAML", (".yaml", ".yml"), "#", aliases=("yml",), grammar=Grammar("tree_sitter_yaml")),
    Language(
        "toml",
        "TOML",
        (".toml",),
        "#",
        names=("Cargo.lock", "poetry.lock", "uv.lock"),
        grammar=Grammar("tree_sitter_toml"),
    ),
    Language("ini", "INI", (".ini", ".cfg", ".conf"), ";", names=(".editorconfig", ".gitconfig")),
    Language(
        "markdown",
        "Markdown",
        (".md", ".markdown"),
        "",
        _XML,
        aliases=("md",),
        grammar=Grammar("tree_sitter_markdown"),
    ),
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
        grammar=Grammar("tree_sitter_dockerfile", is_exact=False),
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
