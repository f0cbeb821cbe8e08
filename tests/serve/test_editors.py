"""The lines of docs/editors.md, run in the editors that they are for."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from aigc_cli.engine.base import EngineInfo, Infill
from tests.scripted_aigc import scripted_argv
from tests.scripted_engine import ScriptedEngine
from tests.serve.servers import serving

PAGE = Path(__file__).parents[2] / "docs" / "editors.md"
NVIM, EMACS, CURL = shutil.which("nvim"), shutil.which("emacs"), shutil.which("curl")
TEXT = "# 中文\ndef add(a, b):\n    \n\nprint(add(1, 2))\n"
FILLED = TEXT.replace("    \n", "    c = a + b\n    return c\n")


def shown(language: str) -> str:
    """The block of the page that is said to be tested."""
    match = re.search(
        rf"<!-- tested: {language} -->\n\n```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    assert match is not None
    return match[1]


def run_neovim(url: str) -> subprocess.CompletedProcess[str]:
    """Open a file, go to the end of line 3, press A and Ctrl-F, write, quit."""
    assert NVIM is not None
    Path("a.py").write_text(TEXT, encoding="utf-8")
    Path("aigc.vim").write_text(shown("vim"), encoding="utf-8")
    Path("keys.vim").write_text('call feedkeys("3GA\\<C-F>\\<Esc>:wq\\<CR>", "tx")\n', encoding="utf-8")
    setting = f"let g:aigc_url = '{url}'"
    command = [NVIM, "--headless", "-n", "-u", "NONE", "--cmd", setting, "-S", "aigc.vim", "-S", "keys.vim"]
    return subprocess.run(
        [*command, "a.py", "-c", "cquit 9"], timeout=60, text=True, capture_output=True, check=False
    )


@pytest.mark.skipif(not (NVIM and CURL), reason="needs Neovim and curl")
def test_neovim_fills_in_where_the_cursor_is() -> None:
    engine = ScriptedEngine(["c = a + b\n    return c"], EngineInfo("scripted", 4096, has_infill=True))
    with serving(engine) as server:
        done = run_neovim(server.url)
    assert Path("a.py").read_text(encoding="utf-8") == FILLED, done.stderr
    prompt = engine.requests[0].prompt
    assert isinstance(prompt, Infill)
    assert (prompt.prefix, prompt.suffix) == ("# 中文\ndef add(a, b):\n    ", "\n\nprint(add(1, 2))\n")
    assert engine.requests[0].sampling.max_tokens == 128


@pytest.mark.skipif(not (NVIM and CURL), reason="needs Neovim and curl")
def test_neovim_leaves_the_text_alone_when_the_server_refuses_or_is_gone() -> None:
    with serving(ScriptedEngine(["x"], EngineInfo("scripted", 4, has_infill=True))) as server:
        done = run_neovim(server.url)
        assert Path("a.py").read_text(encoding="utf-8") == TEXT
        assert 'aigc: {"error":{"message":"the p' in done.stderr  # a narrow window cuts it
    done = run_neovim(server.url)
    assert Path("a.py").read_text(encoding="utf-8") == TEXT
    assert "aigc: curl" in done.stderr


@pytest.mark.skipif(not EMACS, reason="needs Emacs")
def test_emacs_fills_in_an_unsaved_buffer(tmp_path: Path) -> None:
    assert EMACS is not None
    argv = scripted_argv(tmp_path, replies=["c = a + b\n    return c\n```\n"])
    program = tmp_path / "bin" / "aigc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = Path("run.el")
    text = json.dumps(TEXT, ensure_ascii=False)
    steps = f'(switch-to-buffer "a.py") (insert {text}) (goto-line 3) (end-of-line) (aigc-fill)'
    script.write_text(f'{shown("elisp")}\n{steps} (write-region nil nil "out.py")\n', encoding="utf-8")
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    command = [EMACS, "--batch", "-Q", "-l", str(script.resolve())]
    done = subprocess.run(command, env=env, timeout=60, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("out.py").read_text(encoding="utf-8") == FILLED
