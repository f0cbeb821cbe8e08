"""Lines that stand for code instead of being it: `# ... rest of the code ...`, 「其余代码不变」. Pure."""

import re

# What opens a comment or a bracket, and what closes it; with dots, it is what models write around such words.
_OPENING = re.compile(r"^(?:\s|#|//|--|/\*|<!--|;|%|\*|\"\"\"|'''|[(\[{<「…]|\.{3,})+")
_CLOSING = re.compile(r"(?:\s|\*/|-->|\"\"\"|'''|[)\]}>」….。!])+$")
_DOTS = re.compile(r"\.{3,}|…")
_WORDS = re.compile(
    r"""
    (?:the\ )?(?:rest|remainder)\ of\ (?:the|your|this|my)\b(?:\ [\w'-]+){1,6}
    | (?:the\ |your\ |all\ )*(?:existing|remaining|other|previous|original|rest|unchanged|same)
      (?:\ [\w'-]+){0,2}\ (?:WHAT)\b(?:[\ ,(-]*(?:SAME|goes?|here|below|above)\b)*
    | (?:the\ |all\ )?(?:[\w'-]+\ ){0,3}(?:WHAT)\ (?:(?:SAME|goes\ here)\ ?)+
    | (?:no\ (?:other\ )?changes?|unchanged|omitted|same\ as\ (?:before|above|original))(?:\ [\w'-]+){0,4}
    | (?:此处)?(?:其余|其他|其它|剩余|剩下|原有|现有|已有|后续|中间)的?\S{0,8}?
      (?:代码|内容|部分|函数|方法|逻辑|实现|行)\S{0,8}?(?:不变|相同|一样|省略|略|同上|未改|未变)?
    | (?:以下|以上|此处|这里)?(?:代码|内容|部分)?(?:保持不变|省略|略|同上|不变)\S{0,6}
    """.replace(
        "WHAT",
        r"code|file|functions?|methods?|class(?:es)?|implementations?|imports?|contents?|logic|lines?|body|tests?"
        r"|script|module|definitions?|program|sections?|text|parts?",
    ).replace("SAME", r"(?:is|are|remains?|stays?|unchanged|omitted|same|the\ same|as\ before|as\ is)"),
    re.IGNORECASE | re.VERBOSE,
)
_UNMARKED = re.compile(r"(?:其余|其他|其它|剩余)的?(?:代码|内容|部分|函数|方法)\S{0,6}不变")


def stands_for_code(line: str) -> bool:
    """Whether a line says, in a comment or in brackets, that something was left out there."""
    opening = _OPENING.match(line)
    marks = opening[0].strip() if opening else ""
    words = _CLOSING.sub("", line[opening.end() :] if opening else line)
    if not marks:
        return bool(_UNMARKED.fullmatch(words))
    if not words:
        return bool(_DOTS.search(line)) and not are_bare_dots(line)
    return bool(_WORDS.fullmatch(words))


def are_bare_dots(line: str) -> bool:
    """Whether a line is three dots and nothing else: code in Python, a gap elsewhere."""
    return bool(re.fullmatch(r"\s*(?:\.{3,}|…+)\s*", line))


def said_in(line: str, text: str) -> bool:
    """Whether the words of a line occur in another text, without the marks around them."""
    words = _CLOSING.sub("", _OPENING.sub("", line)).lower()
    return bool(words) and words in text.lower()
