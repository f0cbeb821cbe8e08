"""Fields that other servers serve and this one does not: refused by name, unless they ask for nothing.

A field that is in no table is ignored, as OpenAI's servers do with fields that they do not know.
"""

from collections.abc import Mapping
from typing import Any

from aigc_cli.serve.fields import Fields
from aigc_cli.serve.refusals import UnservedField

# name -> (what it is for, the values that ask for nothing)
OPENAI: dict[str, tuple[str, tuple[Any, ...]]] = {
    "tools": ("tool calls", ([],)),
    "functions": ("tool calls", ([],)),
    "tool_choice": ("tool calls", ("none", "auto")),
    "function_call": ("tool calls", ("none", "auto")),
    "logit_bias": ("a bias on single tokens", ({}, [])),
    "modalities": ("other replies than text", (["text"],)),
    "audio": ("spoken replies", ()),
    "web_search_options": ("searching the web", ()),
    "reasoning_effort": ("reasoning", ("none",)),
    "best_of": ("drawing more replies than are shown", (1,)),
    "echo": ("repeating the prompt", (False,)),
}
LLAMA_SERVER: dict[str, tuple[str, tuple[Any, ...]]] = {
    "typical_p": ("typical sampling", (1,)),
    "xtc_probability": ("XTC sampling", (0,)),
    "dynatemp_range": ("a temperature that moves", (0,)),
    "top_n_sigma": ("top-n-sigma sampling", (-1, 0)),
    "mirostat": ("Mirostat sampling", (0,)),
    "adaptive_target": ("adaptive sampling", (-1,)),
    "min_keep": ("a least number of candidates", (0,)),
    "ignore_eos": ("going on after the end of a reply", (False,)),
    "post_sampling_probs": ("probabilities after sampling", (False,)),
    "return_tokens": ("token ids in a reply", (False,)),
    "timings_per_token": ("timings at each token", (False,)),
    "grammar_lazy": ("grammars that begin later", (False,)),
    "grammar_triggers": ("grammars that begin later", ([],)),
    "chat_template_kwargs": ("arguments of the chat template", ({},)),
    "cache_prompt": ("reading a prompt without the cache", (True,)),
}
# only of consequence while DRY is on: the values that the engine has built in
DRY = {"dry_base": 1.75, "dry_allowed_length": 2}
UNSERVED = OPENAI | LLAMA_SERVER


def refuse_unserved(fields: Fields, tables: Mapping[str, tuple[str, tuple[Any, ...]]] = UNSERVED) -> None:
    """Turn away a request that asks for more than there is.

    Raises:
        UnservedField: it names the field and the feature.
    """
    for name, (feature, neutral) in tables.items():
        if name in fields and not _is_among(fields.raw(name), neutral):
            raise UnservedField(name, f"{name}: this server has no {feature}", f"leave {name} out")
    if not fields.number("dry_multiplier"):
        return
    for name, built_in in DRY.items():
        if name in fields and fields.number(name) != built_in:
            raise UnservedField(name, f"{name} is always {built_in} here", f"leave {name} out")


def _is_among(value: Any, neutral: tuple[Any, ...]) -> bool:
    """Whether a value is one of these; unlike Python, JSON knows that 0 is not false."""
    return any(isinstance(value, bool) == isinstance(other, bool) and value == other for other in neutral)
