"""Why the result of an edit must not be written: text left out, definitions lost, prose, broken syntax. Pure.

A guard looks at the text before and after, and at the instruction: what a person asked for is no mistake.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aigc_cli.tasks.definitions import Definition, definitions
from aigc_cli.tasks.edit import COMPLAINT
from aigc_cli.tasks.hunks import Change, changes_between
from aigc_cli.tasks.languages import Language
from aigc_cli.tasks.placeholders import are_bare_dots, said_in, stands_for_code
from aigc_cli.tasks.syntax import parse

MOST_SHRINKAGE = 0.4  # of the lines that hold something
_FEW_LINES = 8  # a text this short may lose any share of them
_MOST_NAMED = 3
_MARKDOWN = ("markdown", "rst", "text")

_ASKS_FOR_LESS = re.compile(
    r"\b(?:remov|delet|drop|strip|shorten|simplif|clean|refactor|dedup|extract|collapse|inline|minif"
    r"|condens|reduc|compact|merge|replac|get rid|cut|trim|rewrit|summari[sz]|only keep|keep only|empty"
    r"|unused)"
    r"|删|去掉|去除|移除|清除|精简|简化|缩短|清理|重构|合并|提取|替换|重写|压缩|保留",
    re.IGNORECASE,
)
# Definitions that go without being named one by one: "remove the unused functions", "merge the two classes".
_ASKS_FOR_FEWER = re.compile(
    r"\b(?:remov|delet|drop|get rid|only keep|keep only)\w*\b.*\b(?:unused|dead|all|every\w*|duplicates?"
    r"|functions?|methods?|class(?:es)?|helpers?|variables?|constants?|tests?|keys?|entries|fields?)\b"
    r"|\b(?:refactor|rewrit|merge|inline|dedup|simplif|split)"
    r"|(?:删|去掉|去除|移除|清除|只保留).*(?:函数|类|方法|变量|常量|测试|全部|所有|无用|未使用|没用|重复|字段|键)"
    r"|重构|重写|合并|精简|简化|拆分",
    re.IGNORECASE | re.DOTALL,
)
_ASKS_TO_RENAME = re.compile(
    r"\b(?:renam|translat|convert|camel|snake|naming)|重命名|改名|翻译|转换|命名", re.IGNORECASE
)

_PROSE = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok)[,!. ]"
    r"|(?:here(?:'s| is| are)|below is) (?:the|your|an?) "
    r"|(?:i have|i've|i) (?:made|updated|changed|added|fixed|modified|renamed|translated|removed|rewritten) "
    r"|(?:in )?this (?:updated|modified|revised|change|version|code|script|function|program) "
    r"|the (?:updated|modified|revised|changed|above|following) (?:code|file|function|version) "
    r"|(?:好的|当然)[,\uff0c。!\uff01]|(?:以下|下面|这)是|修改后的|我(?:已|将|把))",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^\s{0,3}(?:```|~~~)")


@dataclass(frozen=True, slots=True)
class Edit:
    """A text before and after a change; lines end with line feeds."""

    old: str
    new: str
    instruction: str
    language: Language | None


def objection(edit: Edit) -> str:
    """Why this edit must not be written, for a person and for the model; empty if it may be."""
    changes = changes_between(edit.old, edit.new)
    return (
        _placeholder(edit, changes)
        or _foreign(edit, changes)
        or _shrinkage(edit)
        or _broken(edit)
        or _lost_or_doubled(edit)
    )


def _placeholder(edit: Edit, changes: list[Change]) -> str:
    for change in changes:
        known = {line.strip() for line in change.old}
        removed = sum(1 for line in change.old if line.strip())
        for number, line in enumerate(change.new, change.new_start + 1):
            stripped = line.strip()
            if stripped in known or not stripped:
                continue
            is_bare = are_bare_dots(line) and removed > 0
            if (is_bare or stands_for_code(line)) and not said_in(line, edit.instruction):
                return f"line {number} stands for code instead of being it: {stripped[:60]!r}"
    return ""


def _foreign(edit: Edit, changes: list[Change]) -> str:
    """Fences and sentences that belong to an answer and not to the file."""
    new = [(change.new_start + i, line) for change in changes for i, line in enumerate(change.new, 1)]
    tag = edit.language.tag if edit.language else ""
    old_fences = sum(bool(_FENCE.match(line)) for line in edit.old.split("\n"))
    for number, line in new:
        if _FENCE.match(line) and tag not in _MARKDOWN and not old_fences:
            return f"line {number} is a Markdown fence"
    if (
        tag in _MARKDOWN
        and old_fences % 2 == 0
        and edit.new.count("\n```") % 2 != edit.old.count("\n```") % 2
    ):
        return "a Markdown fence is left open"
    n_lines = edit.new.rstrip("\n").count("\n") + 1
    for number, line in new:
        if COMPLAINT in line:
            return f"line {number} repeats the request: {line.strip()[:60]!r}"
        if number in (1, n_lines) and _PROSE.match(line.strip()) and not said_in(line, edit.instruction):
            return f"line {number} is an explanation, not part of the file: {line.strip()[:60]!r}"
    return ""


def _shrinkage(edit: Edit) -> str:
    n_old, n_new = (sum(1 for line in text.split("\n") if line.strip()) for text in (edit.old, edit.new))
    if (
        n_old <= _FEW_LINES
        or n_new >= n_old * (1 - MOST_SHRINKAGE)
        or _ASKS_FOR_LESS.search(edit.instruction)
    ):
        return ""
    return f"only {n_new:,} of {n_old:,} lines are left, and nothing was asked to be removed"


def _broken(edit: Edit) -> str:
    before, after = parse(edit.language, edit.old), parse(edit.language, edit.new)
    if before.problems or not after.problems:
        return ""
    return f"it is no valid {edit.language.name if edit.language else 'code'} any more: {after.problems[0]}"


def _lost_or_doubled(edit: Edit) -> str:
    if edit.language is None or edit.language.tag in _MARKDOWN:
        return ""
    before = definitions(parse(edit.language, edit.old))
    after = definitions(parse(edit.language, edit.new))
    return _doubled(edit, before, after) or _lost(edit, before, after)


def _doubled(edit: Edit, before: Sequence[Definition], after: Sequence[Definition]) -> str:
    """A function or class that stands there twice now, word for word: the model copied its surroundings."""
    old, new = (
        Counter((each.name, _source(each, text)) for each in found if each.kind in ("function", "class"))
        for found, text in ((before, edit.old), (after, edit.new))
    )
    for (name, source), n in new.items():
        if n > max(old[name, source], 1) and source.count("\n") > 0:
            return f"{name} stands there {n} times"
    return ""


def _source(definition: Definition, text: str) -> str:
    return "\n".join(text.split("\n")[definition.first - 1 : definition.last])


def _lost(edit: Edit, before: Sequence[Definition], after: Sequence[Definition]) -> str:
    """Definitions that are gone although the instruction neither names them nor asks for such a change."""
    if _ASKS_TO_RENAME.search(edit.instruction):
        return ""
    left = {each.own_name for each in after}
    lost = dict.fromkeys(each.name for each in before if each.own_name not in left)
    named = [name for name in lost if not _names(edit.instruction, name)]
    # "remove the unused functions" names none of them
    if not named or (_ASKS_FOR_FEWER.search(edit.instruction) and len(named) < len(before)):
        return ""
    shown = ", ".join(named[:_MOST_NAMED]) + (", …" if len(named) > _MOST_NAMED else "")
    return f"{shown} {'is' if len(named) == 1 else 'are'} gone, and the instruction does not say so"


def _names(instruction: str, name: str) -> bool:
    """Whether the instruction names a definition, or the class that it is in."""
    words = set(re.findall(r"\w+", instruction))
    return any(part in words for part in re.split(r"\W+", name))
