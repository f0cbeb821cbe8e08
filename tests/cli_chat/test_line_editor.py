"""The line editor without its program around it."""

import asyncio
import os
import tty
from dataclasses import replace
from pathlib import Path

from aigc_cli.cli.line_editor import LineEditor
from aigc_cli.cli.prompt import PromptSource
from aigc_cli.config import Settings
from tests.cli_chat.world import app_in


def test_ctrl_c_just_after_a_line_was_sent_tears_nothing_apart(tmp_path: Path) -> None:
    keyboard, terminal = os.openpty()
    tty.setraw(terminal)  # as the editor has it: Enter is a carriage return
    with open(terminal, encoding="utf-8") as stdin, open(os.dup(terminal), "w", encoding="utf-8") as screen:  # noqa: PTH123  # descriptors
        app = replace(app_in(tmp_path, TERM="xterm"), stdin=stdin)
        editor = LineEditor(app, PromptSource(lambda _: iter(()), list, Settings), screen)
        os.write(keyboard, b"hello\r")
        assert editor.read() == "hello"

        async def signal_after_the_end() -> None:
            editor._session.app.key_processor.send_sigint()
            await asyncio.sleep(0)

        asyncio.run(signal_after_the_end())
    os.close(keyboard)
