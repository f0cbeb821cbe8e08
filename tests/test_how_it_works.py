"""The figures on the page that explains the model are the model's own."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from gguf import GGUFReader

from aigc_cli.models.catalog import ModelSpec, load_catalog
from docs import screens
from docs.twins import ROOT

PAGE = ROOT / "docs" / "how-it-works.md"
ROW = re.compile(r"^\| (?P<name>[^|]+) \| (?P<value>[\d,]+) \| [^|]+ \|$", re.MULTILINE)
KEPT_AS = re.compile(r"^\| (Q4_K|Q6_K|F32) \| ([\d.]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", re.MULTILINE)


def text() -> str:
    return PAGE.read_text("utf-8")


def number(shown: str) -> int:
    return int(shown.replace(",", ""))


def facts() -> dict[str, int]:
    """The table of the model in numbers."""
    return {row["name"]: number(row["value"]) for row in ROW.finditer(text())}


def spec() -> ModelSpec:
    found = load_catalog().find(screens.MODEL)
    assert found is not None
    return found


def screen(name: str) -> str:
    return "\n".join(ET.parse(ROOT / "docs" / "screens" / f"{name}.svg").getroot().itertext())


def test_what_the_catalog_knows_is_the_same_on_the_page() -> None:
    found = facts()
    assert found["context"] == spec().n_ctx_train
    assert found["file"] == spec().size_bytes
    kv_bytes = 2 * found["layers"] * found["KV heads"] * found["d_k"] * 2
    assert kv_bytes == spec().kv_bytes_per_token
    assert f"{kv_bytes:,} bytes" in " ".join(text().split())
    assert f"{kv_bytes * found['context'] / 1e9:.2f} GB" in text()


def test_what_is_computed_on_the_page_is_computed_from_its_table() -> None:
    found = facts()
    width, d_k = found["embedding width"], found["d_k"]
    assert width == found["heads"] * d_k
    feed_forward = 3 * width * found["feed-forward width"]
    attention = 2 * width * width + 2 * width * found["KV heads"] * d_k
    assert f"{feed_forward:,} weights" in text()
    assert (
        f"{attention:,}. So about {feed_forward / (feed_forward + attention):.0%}".replace("%", " %")
        in text()
    )
    assert f"mean of all {found['layers'] * found['heads']} of them" in text()
    assert f"{16 * found['weights'] / 8e9:.2f} GB" in text()
    assert f"{8 * found['file'] / found['weights']:.2f} bits" in text()
    assert f"{2 * width * 16:,} numbers instead of {width * width:,}" in text()


def test_the_kinds_of_weights_add_up_to_the_file() -> None:
    kinds = KEPT_AS.findall(text())
    assert sum(number(weights) for _, _, _, weights, _ in kinds) == facts()["weights"]
    assert sum(number(size) for *_, size in kinds) < facts()["file"]
    for _, bits, _, weights, size in kinds:
        assert float(bits) == 8 * number(size) / number(weights)


def test_shares_in_the_text_are_on_a_picture() -> None:
    shown = "\n".join(screen(name) for name in screens.SCREENS if name.startswith("how-"))
    quoted = re.findall(r"\d+\.\d+(?= %)", text())
    assert quoted
    assert [share for share in quoted if f"{share}%" not in shown] == []


def test_the_counts_of_the_cache_are_those_of_the_picture() -> None:
    shown = screen("how-cache")
    first, second = re.findall(r"last reply: (\d+) tokens.*prompt (\d+) tokens(?:, (\d+) cached)?", shown)
    n_reply, n_prompt, n_again, n_cached = int(first[0]), int(first[1]), int(second[1]), int(second[2])
    without = sum(range(n_prompt, n_prompt + n_reply))
    said = " ".join(text().split())
    assert f"a prompt of {n_prompt} tokens" in said
    assert f"The reply has {n_reply}." in said
    assert f"… + {n_prompt + n_reply - 1} = {without:,} evaluations" in said
    assert f"{n_prompt} + {n_reply - 1} = {n_prompt + n_reply - 1}." in said
    assert f"a prompt of {n_again} tokens" in said
    assert f"{n_cached} of them, {n_prompt} + {n_reply}, are cached" in said
    assert f"only {n_again - n_cached} are read" in said


def test_what_is_said_of_sampling_is_on_the_pictures_and_in_the_catalog() -> None:
    said = " ".join(text().split())
    n_left = re.search(r"Top-k leaves (\d+) of the ([\d,]+), top-p (\d+), min-p (\d+)\.", said)
    assert n_left
    assert f"left {n_left[2]} {n_left[1]} {n_left[3]} {n_left[4]} " in " ".join(
        screen("how-samplers").split()
    )
    entropy = re.search(
        r"\*entropy\*, ([\d.]+) bits, says how open the choice is: as open as among ([\d.]+)", said
    )
    assert entropy
    assert f"entropy {entropy[1]} bits: like a choice among {entropy[2]} " in screen("how-next")
    advice = "temperature {temperature}, top-p {top_p}, top-k {top_k} and a penalty of {repetition_penalty}"
    assert advice.format(**spec().sampling) in said


@pytest.mark.download
def test_the_figures_are_those_of_the_file(kept_model: Callable[[str], Path]) -> None:
    path = kept_model(screens.MODEL)
    reader = GGUFReader(path)
    header = {name: field.contents() for name, field in reader.fields.items() if name.startswith("qwen2.")}
    n_weights = sum(int(tensor.n_elements) for tensor in reader.tensors)
    assert facts() == {
        "vocabulary": len(reader.fields["tokenizer.ggml.tokens"].contents()),
        "embedding width": header["qwen2.embedding_length"],
        "layers": header["qwen2.block_count"],
        "heads": header["qwen2.attention.head_count"],
        "KV heads": header["qwen2.attention.head_count_kv"],
        "d_k": header["qwen2.embedding_length"] // header["qwen2.attention.head_count"],
        "feed-forward width": header["qwen2.feed_forward_length"],
        "context": header["qwen2.context_length"],
        "weights": n_weights,
        "file": path.stat().st_size,
    }
    tensors, weights, sizes = Counter[str](), Counter[str](), Counter[str]()
    for tensor in reader.tensors:
        kind = tensor.tensor_type.name
        tensors[kind] += 1
        weights[kind] += int(tensor.n_elements)
        sizes[kind] += int(tensor.n_bytes)
    shown = {kind: (number(n), number(w), number(size)) for kind, _, n, w, size in KEPT_AS.findall(text())}
    assert shown == {kind: (tensors[kind], weights[kind], sizes[kind]) for kind in tensors}
