from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine


@pytest.fixture
def aigc(tmp_path: Path, isolated: Path) -> CommandLine:
    return CommandLine(cwd=tmp_path, home=isolated)
