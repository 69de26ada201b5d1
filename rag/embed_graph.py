"""BERT (Devlin et al. 2019) with the mean over its tokens, as an OpenVINO graph made from safetensors weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MASKED = -1e9
"""Added to the attention scores of padding."""


def build_graph(folder: Path, config: dict[str, Any], openvino: Any) -> Any:
    """The model as an `openvino.Model`.

    From ids and mask, int64, [batch, tokens], to unit vectors, [batch, dimension], and to what they are the mean of:
    the last layer's states, [batch, tokens, dimension].

    Raises:
        KeyError, ValueError, OSError: the weights are not those of a BERT.
    """
    import numpy as np

    bert, ops = _Bert(folder, config, openvino.opset13), openvino.opset13
    ids, mask = (ops.parameter([-1, -1], np.int64, name=name) for name in ("ids", "mask"))
    shown = ops.convert(mask, "f32")
    hidden = bert.layers(bert.embeddings(ids), shown)
    weight = ops.unsqueeze(shown, bert.axes(2))
    total = ops.reduce_sum(ops.multiply(hidden, weight), bert.axes(1))
    mean = ops.divide(total, ops.reduce_sum(weight, bert.axes(1)))
    unit = ops.normalize_l2(mean, bert.axes(1), 1e-12, "max")
    return openvino.Model([unit, hidden], [ids, mask], "embedder")


class _Bert:
    """Pieces of the graph, by the names of the weights."""

    def __init__(self, folder: Path, config: dict[str, Any], ops: Any) -> None:
        from safetensors.numpy import load_file

        self.ops, self.config, self.weights = ops, config, load_file(folder / "model.safetensors")
        self.prefix = "bert." if "bert.embeddings.LayerNorm.weight" in self.weights else ""
        self.heads, self.width = int(config["num_attention_heads"]), int(config["hidden_size"])

    def embeddings(self, ids: Any) -> Any:
        """Words, positions and the first token type; [batch, tokens, width]."""
        ops, zero, one = self.ops, self.axes(0), self.axes(1)
        length = ops.gather(ops.shape_of(ids), one, zero)
        positions = ops.slice(self._weight("embeddings.position_embeddings.weight"), zero, length, one, zero)
        words = ops.gather(self._weight("embeddings.word_embeddings.weight"), ids, zero)
        kind = ops.gather(self._weight("embeddings.token_type_embeddings.weight"), zero, zero)
        return self._norm(ops.add(ops.add(words, kind), positions), "embeddings.LayerNorm")

    def layers(self, hidden: Any, shown: Any) -> Any:
        """All layers; `shown` is 1 for a token and 0 for padding, [batch, tokens]."""
        ops = self.ops
        hide = ops.multiply(ops.subtract(self._number(1.0), shown), self._number(MASKED))
        bias = ops.unsqueeze(hide, self.axes(1, 2))
        for layer in range(int(self.config["num_hidden_layers"])):
            name = f"encoder.layer.{layer}"
            seen = self._attention(hidden, bias, f"{name}.attention")
            inner = ops.gelu(self._linear(seen, f"{name}.intermediate.dense"), "erf")
            hidden = self._norm(ops.add(self._linear(inner, f"{name}.output.dense"), seen), f"{name}.output.LayerNorm")
        return hidden

    def _attention(self, hidden: Any, bias: Any, name: str) -> Any:
        ops, order = self.ops, self.axes(0, 2, 1, 3)
        split = self.axes(0, 0, self.heads, self.width // self.heads)
        query, key, value = (
            ops.transpose(ops.reshape(self._linear(hidden, f"{name}.self.{part}"), split, True), order)
            for part in ("query", "key", "value")
        )
        found = ops.transpose(ops.scaled_dot_product_attention(query, key, value, bias), order)
        joined = self._linear(ops.reshape(found, self.axes(0, 0, self.width), True), f"{name}.output.dense")
        return self._norm(ops.add(joined, hidden), f"{name}.output.LayerNorm")

    def _linear(self, value: Any, name: str) -> Any:
        product = self.ops.matmul(value, self._weight(f"{name}.weight"), False, True)
        return self.ops.add(product, self._weight(f"{name}.bias"))

    def _norm(self, value: Any, name: str) -> Any:
        import numpy as np

        normal = self.ops.mvn(value, np.array([-1]), True, float(self.config["layer_norm_eps"]), "inside_sqrt")
        return self.ops.add(self.ops.multiply(normal, self._weight(f"{name}.weight")), self._weight(f"{name}.bias"))

    def _weight(self, name: str) -> Any:
        import numpy as np

        return self.ops.constant(np.ascontiguousarray(self.weights[self.prefix + name], dtype=np.float32))

    def axes(self, *values: int) -> Any:
        """Whole numbers as a constant, int64, shape [len(values)]."""
        import numpy as np

        return self.ops.constant(np.array(values, dtype=np.int64))

    def _number(self, value: float) -> Any:
        import numpy as np

        return self.ops.constant(np.float32(value))
