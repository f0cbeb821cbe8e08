"""Reads a model in a thread of its own: what the engine still has to import is imported meanwhile.

llama.cpp reads a file without Python's lock, 0.4 s for 1 GB that is in the page cache; numpy, jinja2
and the engine's own modules take 0.15 s of that.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from aigc_cli.engine.model import Model


class ModelLoading:
    """A model on its way into memory. In a `with` block it is given up when the block fails."""

    def __init__(self, path: Path, *, n_gpu_layers: int = 0, repack_weights: bool = False) -> None:
        """Start to read the file."""
        self._given_up = threading.Event()
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._model = executor.submit(
            Model,
            path,
            n_gpu_layers=n_gpu_layers,
            repack_weights=repack_weights,
            cancelled=self._given_up.is_set,
        )
        executor.shutdown(wait=False)

    @property
    def is_done(self) -> bool:
        """Whether `result` would not wait."""
        return self._model.done()

    def result(self) -> Model:
        """The model, as soon as it is there; the caller closes it.

        Raises:
            ModelLoadError: llama.cpp refused the file.
            Interrupted: it was given up.
        """
        return self._model.result()

    def give_up(self) -> None:
        """Stop reading; a model that is there already is closed."""
        self._given_up.set()
        if self._model.exception() is None:
            self._model.result().close()

    def __enter__(self) -> Self:
        """It is being read already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give it up after an error."""
        if kind is not None:
            self.give_up()
