"""What a terminal can do, and which characters of a model's text may reach it.

A model's text is not trusted: it may hold escape sequences that set the clipboard (OSC 52), retitle the
window, move the cursor over what was printed before, or reorder what is read (bidirectional overrides).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO

FALLBACK_SIZE = os.terminal_size((80, 24))


class ColorDepth(StrEnum):
    """How many colours a stream shows; `none` means no SGR sequence at all."""

    NONE = "none"
    ANSI16 = "ansi16"
    ANSI256 = "ansi256"
    TRUECOLOR = "truecolor"


@dataclass(frozen=True, slots=True)
class TerminalTraits:
    """What a stream can show. `moves_cursor`: cursor-up and erase sequences do what they say."""

    is_terminal: bool
    depth: ColorDepth
    moves_cursor: bool


def detect_traits(stream: TextIO, env: Mapping[str, str], color: str) -> TerminalTraits:
    """Traits of `stream`; `color` is the setting auto, always or never and beats the variables.

    Any non-empty `NO_COLOR` turns colour off (no-color.org), a non-empty `FORCE_COLOR` other than 0 turns it
    on (force-color.org); `NO_COLOR` wins when both are set.
    """
    is_terminal = stream.isatty()
    # Windows Terminal understands the sequences and sets no TERM.
    moves_cursor = is_terminal and (env.get("TERM", "") not in ("", "dumb") or "WT_SESSION" in env)
    match color:
        case "always":
            colored = True
        case "never":
            colored = False
        case _ if env.get("NO_COLOR"):
            colored = False
        case _ if env.get("FORCE_COLOR", "0") not in ("", "0"):
            colored = True
        case _:
            colored = moves_cursor
    return TerminalTraits(is_terminal, _depth(env) if colored else ColorDepth.NONE, moves_cursor)


def _depth(env: Mapping[str, str]) -> ColorDepth:
    if env.get("COLORTERM", "").lower() in ("truecolor", "24bit") or "WT_SESSION" in env:
        return ColorDepth.TRUECOLOR
    term = env.get("TERM", "")
    if term.endswith("-direct"):
        return ColorDepth.TRUECOLOR
    return ColorDepth.ANSI256 if "256" in term else ColorDepth.ANSI16


def window_size(stream: TextIO) -> os.terminal_size:
    """The size of the window behind `stream` at this moment; 80 by 24 when there is none."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):  # not a terminal, closed, or no descriptor at all
        return FALLBACK_SIZE
    # A pseudo-terminal whose size nobody set says 0 by 0.
    return size if size.columns > 0 and size.lines > 0 else FALLBACK_SIZE


def background(env: Mapping[str, str]) -> str:
    """`dark` or `light` as `COLORFGBG` says (rxvt, Konsole, iTerm2), or `auto` when it says nothing."""
    colour = env.get("COLORFGBG", "").rpartition(";")[2]
    if not colour.isascii() or not colour.isdigit():
        return "auto"
    return "light" if int(colour) == 7 or 9 <= int(colour) <= 15 else "dark"  # noqa: PLR2004  # palette indices


# Characters that draw nothing, or move their neighbours, and so can make a text read otherwise than it is:
# bidirectional marks, overrides and isolates, zero-width spaces and operators, fillers, tags. Variation
# selectors draw nothing either, but belong to emoji and CJK characters and change only their shape.
_SPOOFING = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
)
_JOINERS = (
    "\u200c\u200d"  # joined emoji, Persian, Indic scripts: right after a character of those, nowhere else
)
_TAGS = "\U000e0000-\U000e007f"  # flags of regions: right after a black flag, nowhere else
_SURROGATES = "\ud800-\udfff"  # can't be written as UTF-8
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_UNSAFE = re.compile(f"[{_CONTROLS}{_SPOOFING}{_JOINERS}{_TAGS}{_SURROGATES}]")
_TAG = re.compile(f"[{_TAGS}]")
_BLACK_FLAG = "\U0001f3f4"


class _State(StrEnum):
    GROUND = "ground"
    ESCAPE = "escape"  # after ESC
    CSI = "csi"
    STRING = "string"  # OSC, DCS, APC, PM or SOS: text until BEL or ST
    STRING_ESCAPE = "string escape"  # ESC inside a string: ST if a backslash follows


_C1 = {"\x9b": _State.CSI, **dict.fromkeys("\x90\x98\x9d\x9e\x9f", _State.STRING)}
_AFTER_ESCAPE = {"[": _State.CSI, **dict.fromkeys("PX]^_", _State.STRING)}


class Sanitizer:
    r"""Removes escape sequences and control characters except \n and \t from a stream of text.

    The sequences are those of ECMA-48. An unterminated string sequence (OSC, DCS, ...) ends at the end of its
    line, so that it swallows one line of the reply and not all of it. Invisible characters that can spoof
    become marks such as ⟪U+202E⟫. However a text is cut into chunks, the result is the same.
    """

    __slots__ = ("_last", "_state")

    def __init__(self) -> None:
        self._state = _State.GROUND
        self._last = ""

    def feed(self, text: str) -> str:
        """The safe part of the next chunk."""
        out: list[str] = []
        position = 0
        while position < len(text):
            if self._state is _State.GROUND:
                unsafe = _UNSAFE.search(text, position)
                end = unsafe.start() if unsafe else len(text)
                if end > position:
                    out.append(text[position:end])
                    self._last = text[end - 1]
                if unsafe is None:
                    break
                out.append(self._ground(unsafe.group()))
                position = end + 1
            else:
                position += self._inside_sequence(text[position])
        return "".join(out)

    def flush(self) -> str:
        """End the text; an open sequence ends with it. Returns what was kept back: nothing, ever."""
        self._state = _State.GROUND
        self._last = ""
        return ""

    def _ground(self, char: str) -> str:
        if char == "\x1b":
            self._state = _State.ESCAPE
        elif char in _C1:
            self._state = _C1[char]
        if char <= "\x9f":
            return ""
        if "\ud800" <= char <= "\udfff":
            self._last = "\ufffd"
            return "\ufffd"
        if char in _JOINERS:
            allowed = bool(self._last) and not self._last.isascii() and self._last not in _JOINERS
        else:
            allowed = bool(_TAG.match(char)) and (self._last == _BLACK_FLAG or bool(_TAG.match(self._last)))
        self._last = char if allowed else "⟫"
        return char if allowed else f"⟪U+{ord(char):04X}⟫"

    def _inside_sequence(self, char: str) -> int:
        """Follow a sequence by one character; 0 when that is none of its, and is to be read again."""
        if char in "\x18\x1a":  # CAN and SUB abort any sequence
            self._state = _State.GROUND
            return 1
        match self._state:
            case _State.ESCAPE:
                return self._after_escape(char)
            case _State.CSI:
                if "\x20" <= char <= "\x3f":
                    return 1
                self._state = _State.GROUND
                return 1 if "\x40" <= char <= "\x7e" else 0
            case _State.STRING_ESCAPE:
                self._state = _State.GROUND if char == "\\" else _State.ESCAPE
                return 1 if char == "\\" else 0
            case _:
                return self._inside_string(char)

    def _after_escape(self, char: str) -> int:
        if "\x20" <= char <= "\x2f":  # intermediate bytes, as in ESC ( B
            return 1
        self._state = _AFTER_ESCAPE.get(char, _State.GROUND)
        return 1 if "\x30" <= char <= "\x7e" else 0

    def _inside_string(self, char: str) -> int:
        if char == "\x1b":
            self._state = _State.STRING_ESCAPE
            return 1
        if char == "\n":
            self._state = _State.GROUND
            return 0
        if char in "\x07\x9c":
            self._state = _State.GROUND
        return 1


def sanitize(text: str) -> str:
    """A whole text as `Sanitizer` leaves it."""
    return Sanitizer().feed(text)
