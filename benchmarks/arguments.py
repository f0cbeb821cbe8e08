"""The arguments that the benchmarks of a model on this machine have in common."""

import argparse
from pathlib import Path


def model_parser(
    description: str | None, *, rounds: int, models: tuple[str, ...] = ("model",)
) -> argparse.ArgumentParser:
    """Takes the files of these models, `--rounds` and `--threads`; the description is shown as it is."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    for name in models:
        parser.add_argument(name, type=Path)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=2)
    return parser


def repack_parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Takes `--repack` too."""
    parser = model_parser(description, rounds=rounds)
    parser.add_argument("--repack", action="store_true", help="rearrange the weights for this CPU")
    return parser
