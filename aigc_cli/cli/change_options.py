"""Options of the commands that write files: `gen`, `edit`, and the recipes that do the same."""

from typing import Annotated

import typer

Output = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help="the file to write; - prints the code"),
]
Force = Annotated[bool, typer.Option("--force", help="overwrite an existing file")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="print the code, or the diff to an existing file, and write nothing"),
]
Check = Annotated[
    str | None,
    typer.Option(
        "--check", metavar="CMD", help="a command that accepts the file by exiting with 0; {file} is its name"
    ),
]
RunExamples = Annotated[
    bool, typer.Option("--run-examples", help="run the code on the examples in the prompt, in a sandbox")
]
MOST_TRIES = 100
Tries = Annotated[
    int,
    typer.Option("--tries", metavar="N", min=1, max=MOST_TRIES, help="tries until a draft passes its checks"),
]

Symbol = Annotated[
    str | None,
    typer.Option("--symbol", metavar="NAME", help="change only this function, class or Class.method"),
]
CheckEach = Annotated[
    str | None,
    typer.Option(
        "--check",
        metavar="CMD",
        help="a command that accepts each file by exiting with 0; {file} is its name",
    ),
]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="write without asking")]
DryRunDiff = Annotated[
    bool, typer.Option("--dry-run", help="print a unified diff, for git apply, and write nothing")
]
NoGuards = Annotated[bool, typer.Option("--no-guards", help="only warn of text that seems lost or broken")]
