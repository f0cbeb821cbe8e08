"""What can go wrong, what it means for the exit code, and what the person can do about it.

The tree, with the exit code of each branch:

    AigcError                  1  anything that failed
    ├── UsageError             2  the command line or an input makes no sense
    │   └── ConfigError        2  a settings file or variable holds a value that can't be used
    ├── ModelError             3  no model, or it can't be loaded
    │   ├── ModelNotFound      3  no known and no stored model has this name
    │   ├── InvalidModelFile   3  the file is no GGUF, truncated, corrupt or hostile
    │   ├── PullError          3  no source gave the file
    │   └── ModelLoadError     3  llama.cpp refused the file, or memory ran out
    ├── ContextOverflow        4  it does not fit the context window
    ├── CheckFailed            5  generated code failed a check
    ├── NoCodeInReply          6  code was asked for, the reply holds none
    ├── FileError              1  a file can't be read or must not be written
    ├── SessionError           1  kept conversations can't be read or written, or there is none of that name
    ├── EngineError            1  the engine failed while it worked
    │   ├── UnsupportedFeature 1  this engine or model lacks what was asked for
    │   ├── ServerUnreachable  1  no server answers there, or it hung up before it said anything
    │   └── ServerGone         1  the server went away in the middle of its answer
    └── Interrupted          130  Ctrl-C
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; docs/exit-codes.md is made from this table."""

    DONE = 0
    FAILURE = 1
    USAGE = 2
    NO_MODEL = 3
    CONTEXT_OVERFLOW = 4
    CHECK_FAILED = 5
    NO_CODE = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141

    @property
    def meaning(self) -> str:
        """One line for a person."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.FAILURE: "something failed; the message says what",
    ExitCode.USAGE: "the command line, a setting or an input makes no sense",
    ExitCode.NO_MODEL: "no model, or it can't be loaded",
    ExitCode.CONTEXT_OVERFLOW: "the prompt does not fit the context window",
    ExitCode.CHECK_FAILED: "a check of generated code failed",
    ExitCode.NO_CODE: "code was asked for and the reply holds none",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.BROKEN_PIPE: "the reader of the output went away",
}


class AigcError(Exception):
    """A known failure: one line that says what is wrong, one that says what to do next."""

    exit_code: ExitCode = ExitCode.FAILURE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AigcError):
    """The command line or an input makes no sense."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A settings file or an environment variable holds a value that can't be used."""


class ModelError(AigcError):
    """No model, or it can't be loaded."""

    exit_code = ExitCode.NO_MODEL


class ModelNotFound(ModelError):
    """No known and no stored model has this name."""

    def __init__(self, name: str, hint: str = "aigc models list") -> None:
        super().__init__(f"no model named {name!r}", hint)
        self.name = name


class InvalidModelFile(ModelError):
    """The file is no GGUF, truncated, corrupt or hostile."""


class PullError(ModelError):
    """No source gave the model file."""


class ModelLoadError(ModelError):
    """llama.cpp refused the file, or memory ran out."""


class ContextOverflow(AigcError):
    """The prompt does not fit the context window.

    Attributes:
        n_tokens: what the prompt takes, in tokens.
        n_ctx: the size of the context window, in tokens.
    """

    exit_code = ExitCode.CONTEXT_OVERFLOW

    def __init__(self, n_tokens: int, n_ctx: int, hint: str = "") -> None:
        super().__init__(
            f"the prompt takes {n_tokens:,} tokens and the context window holds {n_ctx:,}",
            hint or "shorten it, attach fewer files, or raise --context",
        )
        self.n_tokens = n_tokens
        self.n_ctx = n_ctx


class CheckFailed(AigcError):
    """Generated code failed a check."""

    exit_code = ExitCode.CHECK_FAILED


class NoCodeInReply(AigcError):
    """Code was asked for, and the reply holds none."""

    exit_code = ExitCode.NO_CODE


class FileError(AigcError):
    """A file can't be read, or must not be written."""


class SessionError(AigcError):
    """Kept conversations can't be read or written, or there is none of that name."""


class EngineError(AigcError):
    """The engine failed while it worked."""


class UnsupportedFeature(EngineError):
    """This engine or model lacks what was asked for; the message names it."""


class NoBackground(EngineError):
    """No engine can stay in the background: its files can't be made here, or others could reach them."""


class ServerUnreachable(EngineError):
    """No server answers there, or it hung up before it said anything: the request can be sent again."""


class ServerGone(EngineError):
    """The server went away, or fell silent, in the middle of its answer."""


class Interrupted(AigcError):
    """The person pressed Ctrl-C."""

    exit_code = ExitCode.INTERRUPTED

    def __init__(self, message: str = "interrupted", hint: str = "") -> None:
        super().__init__(message, hint)
