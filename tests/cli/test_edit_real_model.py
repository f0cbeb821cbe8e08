"""Small edits with a real model: through the real command, as a person would ask."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.download
SHOP = '''"""Prices."""

TAX = 0.19


def total(items):
    result = 0
    for item in items:
        result += item.price * item.count
    return result


def with_tax(items):
    return total(items) * (1 + TAX)


class Cart:
    def __init__(self):
        self.items = []

    def add(self, item):
        self.items.append(item)
'''


def edit(model: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "aigc_cli", "edit", "-m", str(model), "-y", "--no-stdin", *words]
    return subprocess.run(argv, capture_output=True, timeout=600, check=False, env=dict(os.environ))


@pytest.fixture
def shop() -> Path:
    path = Path("shop.py")
    path.write_bytes(SHOP.replace("\n", "\r\n").encode("utf-8-sig"))
    return path


def names(path: Path) -> set[str]:
    tree = ast.parse(path.read_bytes())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_a_function_is_renamed_and_undone(real_model: Callable[[str], Path], shop: Path) -> None:
    before = shop.read_bytes()
    done = edit(real_model("qwen2.5-coder-0.5b"), "shop.py", "rename the function total to subtotal")
    assert done.returncode == 0, done.stderr
    assert names(shop) == {"subtotal", "with_tax", "Cart", "__init__", "add"}
    after = shop.read_bytes()
    assert after.startswith(b"\xef\xbb\xbf")
    assert after.count(b"\n") == after.count(b"\r\n")
    undone = subprocess.run([sys.executable, "-m", "aigc_cli", "undo"], capture_output=True, check=False)
    assert undone.returncode == 0, undone.stderr
    assert shop.read_bytes() == before


def test_a_method_is_added_to_a_class(real_model: Callable[[str], Path], shop: Path) -> None:
    words = ("shop.py", "--symbol", "Cart", "add a method remove(item) that removes an item")
    done = edit(real_model("qwen2.5-coder-0.5b"), *words)
    assert done.returncode == 0, done.stderr
    assert names(shop) == {"total", "with_tax", "Cart", "__init__", "add", "remove"}
    assert shop.read_bytes().startswith(SHOP.partition("class")[0].replace("\n", "\r\n").encode("utf-8-sig"))
