"""Attention weights: which earlier tokens each token looked at, and how much (Vaswani 2017, section 3.2)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from aigc_cli.errors import UnsupportedFeature, UsageError

# The name that llama.cpp's graph gives to softmax(QK^T/sqrt(d_k)) of a layer (llama-graph.cpp).
WEIGHTS = "kq_soft_max"
MOST_TOKENS = 1024  # an n-by-n matrix for each layer: 0.1 GB for 28 layers
TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class AttentionMaps:
    """What the tokens of one text looked at.

    Attributes:
        layers: numbers of the layers, in order.
        weights: float32 [layer, token, earlier token]: one head, or the mean of all.
        n_heads: of the layer that has most.
        row_error: how far the row of any layer and head is from summing to 1, at most.
        next_token: the most probable one after the text.
    """

    layers: tuple[int, ...]
    weights: Any
    n_heads: int
    row_error: float
    next_token: int

    @property
    def first_token_share(self) -> float:
        """Mean weight on the first token (the attention sink), over layers and the tokens after it."""
        return float(self.weights[:, 1:, 0].mean()) if self.weights.shape[1] > 1 else 1.0

    def rollout(self) -> Any:
        """Flow of attention through all layers: [token, earlier token] (attention rollout, Abnar 2020).

        Half of each layer's output is its input: the residual connection.
        """
        flow = identity = np.eye(self.weights.shape[1], dtype=np.float64)
        for layer in self.weights:
            flow = (0.5 * layer + 0.5 * identity) @ flow
        return flow.astype(np.float32)


def without_first(weights: Any) -> Any:
    """The same with nothing on the first token; each row sums to 1 again, or to 0 if that was all."""
    rest = weights.copy()
    rest[..., 0] = 0
    totals = rest.sum(axis=-1, keepdims=True)
    return np.divide(rest, totals, out=np.zeros_like(rest), where=totals > 0)


class AttentionCapture:
    """Collects the weights while a text is evaluated, chunk by chunk.

    Args:
        n_tokens: of the whole text.
        layer: only this one; None is all.
        head: only this one; None is the mean.
    """

    def __init__(self, n_tokens: int, layer: int | None, head: int | None) -> None:
        self._n_tokens = n_tokens
        self._layer = layer
        self._head = head
        self._maps: dict[int, Any] = {}
        self._chunk = (0, 0)
        self.n_heads = 0
        self.row_error = 0.0

    def expect(self, start: int, n_rows: int) -> None:
        """Say which tokens the next evaluation holds."""
        self._chunk = (start, n_rows)

    def receive(self, _name: str, layer: int, tensor: Any) -> None:
        """Take one layer's tensor [stream, head, row, column]; columns behind the text are padding.

        Raises:
            UnsupportedFeature: it has another shape.
            UsageError: the layer has no such head.
        """
        if self._layer not in (None, layer):
            return
        start, n_rows = self._chunk
        n_streams, n_heads, rows, columns = tensor.shape
        if n_streams != 1 or rows != n_rows or columns < start + n_rows:
            raise UnsupportedFeature(
                f"this model's attention weights have the shape {tensor.shape}", "inspect another model"
            )
        if self._head is not None and self._head >= n_heads:
            raise UsageError(f"layer {layer} has no head {self._head}", f"it has heads 0 to {n_heads - 1}")
        weights = tensor[0]
        self.n_heads = max(self.n_heads, n_heads)
        self.row_error = max(self.row_error, float(np.abs(weights.sum(axis=-1) - 1).max()))
        chosen = weights.mean(axis=0) if self._head is None else weights[self._head]
        map_ = self._maps.setdefault(layer, np.zeros((self._n_tokens, self._n_tokens), dtype=np.float32))
        end = start + n_rows
        map_[start:end, :end] = chosen[:, :end]

    def maps(self, next_token: int) -> AttentionMaps:
        """What was collected.

        Raises:
            UnsupportedFeature: nothing came.
        """
        if not self._maps:
            raise UnsupportedFeature(
                f"the graph of this model holds no {WEIGHTS}: it has no attention, or names it otherwise",
                "inspect another model",
            )
        layers = tuple(sorted(self._maps))
        weights = np.stack([self._maps[layer] for layer in layers])
        return AttentionMaps(layers, weights, self.n_heads, self.row_error, next_token)
