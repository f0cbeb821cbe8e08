"""What marks and code tokens look like: theme and colour depth -> SGR parameters (ECMA-48 8.3.117)."""

from typing import TYPE_CHECKING

from aigc_cli.render.console import ColorDepth
from aigc_cli.render.spans import Mark, Paint, Span

if TYPE_CHECKING:
    from pygments.token import _TokenType

# Colours of the terminal's own palette; they read well on a dark and on a light background alike, which
# yellow, white and the bright colours do not.
_MARKS = {
    Mark.BOLD: "1",
    Mark.ITALIC: "3",
    Mark.STRIKE: "9",
    Mark.LINK: "4",
    Mark.DIM: "2",
    Mark.CODE: "36",
    Mark.ADDRESS: "34",
    Mark.HEADING: "1;35",
    Mark.TITLE: "1;4;35",
    Mark.MARKER: "35",
}
_ANSI_TOKENS = {
    "Token.Comment": "2;3",
    "Token.Comment.Preproc": "35",
    "Token.Keyword": "35",
    "Token.Keyword.Constant": "36",
    "Token.Keyword.Type": "36",
    "Token.Operator.Word": "35",
    "Token.Name.Builtin": "36",
    "Token.Name.Function": "34",
    "Token.Name.Class": "1;34",
    "Token.Name.Namespace": "34",
    "Token.Name.Decorator": "34",
    "Token.Name.Exception": "36",
    "Token.Name.Tag": "35",
    "Token.Name.Attribute": "34",
    "Token.Literal.String": "32",
    "Token.Literal.String.Doc": "32;3",
    "Token.Literal.String.Interpol": "36",
    "Token.Literal.String.Escape": "36",
    "Token.Literal.Number": "36",
    "Token.Generic.Deleted": "31",
    "Token.Generic.Inserted": "32",
    "Token.Generic.Heading": "1",
    "Token.Generic.Subheading": "36",
    "Token.Generic.Prompt": "2",
    "Token.Generic.Emph": "3",
    "Token.Generic.Strong": "1",
}
_STYLES = {"dark": "monokai", "light": "xcode"}


class Palette:
    """SGR parameters for marks and tokens.

    `theme` is auto, dark, light, ansi or none (no colours of code).
    """

    def __init__(self, depth: ColorDepth, theme: str) -> None:
        self._depth = depth
        self._theme = theme
        self._marks: dict[Mark, str] = {}
        self._tokens: dict[_TokenType, str] = {}

    @property
    def is_plain(self) -> bool:
        """Whether nothing can be styled, so that emphasis shows only if its markers stay."""
        return self._depth is ColorDepth.NONE

    @property
    def colors_code(self) -> bool:
        """Whether code needs a lexer at all."""
        return not self.is_plain and self._theme != "none"

    def paint(self, spans: list[Span]) -> list[Paint]:
        """The spans in their colours."""
        return [Paint(text, self.mark(mark)) for text, mark in spans]

    def mark(self, mark: Mark) -> str:
        """Parameters for a combination of marks."""
        if mark not in self._marks:
            codes = [] if self.is_plain else [code for single, code in _MARKS.items() if mark & single]
            self._marks[mark] = ";".join(codes)
        return self._marks[mark]

    def token(self, token: "_TokenType") -> str:
        """Parameters for a Pygments token type."""
        if token not in self._tokens:
            self._tokens[token] = self._token(token) if self.colors_code else ""
        return self._tokens[token]

    def _token(self, token: "_TokenType") -> str:
        style = _STYLES.get(self._theme)
        if style and self._depth in (ColorDepth.ANSI256, ColorDepth.TRUECOLOR):
            return self._styled(token, style)
        while str(token) not in _ANSI_TOKENS and token.parent:
            token = token.parent
        return _ANSI_TOKENS.get(str(token), "")

    def _styled(self, token: "_TokenType", style: str) -> str:
        from pygments.styles import get_style_by_name  # 9 ms; only when code is coloured
        from pygments.token import Error

        if token is Error:  # half a line is often wrong; a red box around it would only flicker
            return ""
        look = get_style_by_name(style).style_for_token(token)
        codes = ["1"] if look["bold"] else []
        codes += ["3"] if look["italic"] else []
        if look["color"]:
            codes.append(self._color(look["color"]))
        return ";".join(codes)

    def _color(self, hex_color: str) -> str:
        from rich.color import Color, ColorSystem  # 16 ms; only when code is coloured

        color = Color.parse(f"#{hex_color}")
        if self._depth is ColorDepth.ANSI256:
            color = color.downgrade(ColorSystem.EIGHT_BIT)
        return ";".join(color.get_ansi_codes())


def render(paints: list[Paint]) -> str:
    """One row as text with SGR sequences; each styled run is reset, so that a row can be written alone."""
    out: list[str] = []
    run, run_sgr = "", ""
    for text, sgr in paints:
        if sgr != run_sgr:
            out.append(_styled(run, run_sgr))
            run, run_sgr = "", sgr
        run += text
    out.append(_styled(run, run_sgr))
    return "".join(out)


def _styled(text: str, sgr: str) -> str:
    return f"\x1b[{sgr}m{text}\x1b[0m" if sgr and text else text
