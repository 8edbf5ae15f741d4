"""Builds the graph of a BERT-like sentence model from its weights, for openvino to compile.

The usual way, exporting with torch, would cost gigabytes of packages for a graph of a few dozen
nodes. The architecture: Devlin et al., "BERT" (2018); sentence vectors by the mean over real
tokens, scaled to length 1: Reimers & Gurevych, "Sentence-BERT" (2019).

Inputs: ids and mask, int64 of shape (batch, tokens); output: vectors, float32 of shape
(batch, dimension).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from menos_vault.embeddings.weights import read_weights
from menos_vault.errors import ModelCorrupt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NEVER = -1e4
"""Added to the score of padding: its share of the attention is 0, in half precision as well."""


class Shape(NamedTuple):
    """What the weights alone do not tell."""

    layers: int
    heads: int
    epsilon: float
    positions: int
    dimension: int


def read_shape(folder: Path) -> Shape:
    """Read `config.json`. Raises ModelCorrupt if it is missing or of another architecture."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["model_type"] != "bert" or config.get("hidden_act", "gelu") != "gelu":
            raise ModelCorrupt(f"{path} is not of a BERT model with GELU; only those can be used")
        return Shape(
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            epsilon=float(config["layer_norm_eps"]),
            positions=int(config["max_position_embeddings"]),
            dimension=int(config["hidden_size"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelCorrupt(f"{path} cannot be used: {error!r}") from error


def build_graph(openvino: Any, folder: Path, *, mapped: bool, vocabulary: int) -> Any:
    """Return the model in `folder` as one of the module `openvino`; `mapped` as in `read_weights`.

    Raises ModelCorrupt if a weight is missing or of a wrong shape, or if the tokenizer's
    `vocabulary` has tokens that the model does not know.
    """
    path = folder / "model.safetensors"
    graph = _Graph(openvino, read_weights(path, mapped=mapped), read_shape(folder))
    try:
        if graph.vocabulary < vocabulary:  # openvino would take zeros for the others
            raise ModelCorrupt(
                f"{path} knows {graph.vocabulary} tokens, and tokenizer.json has {vocabulary}: "
                "they are of two models"
            )
        return graph.build()
    except KeyError as error:
        raise ModelCorrupt(f"{path} has no tensor {error}") from error
    except RuntimeError as error:  # what openvino raises of shapes that do not fit
        raise ModelCorrupt(f"the tensors of {path} do not fit together: {error}") from error


class _Graph:
    """Each method adds some nodes and returns the last of them."""

    def __init__(
        self, openvino: Any, weights: "dict[str, NDArray[np.float32]]", shape: Shape
    ) -> None:
        # Some files name every tensor with the model in front.
        self.weights = {name.removeprefix("bert."): value for name, value in weights.items()}
        self.shape = shape
        self.model = openvino.Model
        self.op = openvino.opset13  # the first with scaled_dot_product_attention

    @property
    def vocabulary(self) -> int:
        return len(self.weights["embeddings.word_embeddings.weight"])

    def build(self) -> Any:
        import numpy as np

        ids = self.op.parameter([-1, -1], np.int64)
        mask = self.op.parameter([-1, -1], np.int64)
        real = self.op.convert(mask, np.float32)
        hidden = self.embeddings(ids)
        blocked = self.attention_mask(real)
        for layer in range(self.shape.layers):
            hidden = self.layer(f"encoder.layer.{layer}", hidden, blocked)
        return self.model([self.pool(hidden, real)], [ids, mask], "sentence")

    def embeddings(self, ids: Any) -> Any:
        """Sum word, position and (always the first) segment vectors, then normalise."""
        zero, one = self.integers(0), self.integers(1)
        words = self.op.gather(self.weight("embeddings.word_embeddings.weight"), ids, zero)
        # One segment only, so its vector can be added to the positions beforehand.
        table = self.constant(
            self.weights["embeddings.position_embeddings.weight"]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        length = self.op.gather(self.op.shape_of(ids), one, zero)
        positions = self.op.slice(table, zero, length, one, zero)
        return self.normalise(self.op.add(words, positions), "embeddings.LayerNorm")

    def attention_mask(self, real: Any) -> Any:
        """Turn the mask into (batch, 1, 1, tokens): 0 where a token is real, else very negative."""
        padding = self.op.subtract(self.number(1), self.op.unsqueeze(real, self.integers(1, 2)))
        return self.op.multiply(padding, self.number(_NEVER))

    def layer(self, name: str, hidden: Any, blocked: Any) -> Any:
        """Self-attention, then two dense layers; each added to what went in, and normalised."""
        attended = self.attention(f"{name}.attention.self", hidden, blocked)
        attended = self.dense(attended, f"{name}.attention.output.dense")
        hidden = self.normalise(self.op.add(attended, hidden), f"{name}.attention.output.LayerNorm")
        inner = self.op.gelu(self.dense(hidden, f"{name}.intermediate.dense"), "erf")
        outer = self.dense(inner, f"{name}.output.dense")
        return self.normalise(self.op.add(outer, hidden), f"{name}.output.LayerNorm")

    def attention(self, name: str, hidden: Any, blocked: Any) -> Any:
        """Scaled dot-product attention over `heads` parts of the vectors."""
        query, key, value = (
            self.heads(self.dense(hidden, f"{name}.{part}")) for part in ("query", "key", "value")
        )
        mixed = self.op.scaled_dot_product_attention(query, key, value, blocked)
        joined = self.op.transpose(mixed, self.integers(0, 2, 1, 3))
        return self.op.reshape(joined, self.integers(0, 0, self.shape.dimension), True)

    def heads(self, x: Any) -> Any:
        """Split (batch, tokens, dimension) into (batch, heads, tokens, width)."""
        width = self.shape.dimension // self.shape.heads
        split = self.op.reshape(x, self.integers(0, 0, self.shape.heads, width), True)
        return self.op.transpose(split, self.integers(0, 2, 1, 3))

    def pool(self, hidden: Any, real: Any) -> Any:
        """Mean over real tokens, scaled to length 1."""
        # The sum has the mean's direction, and the length is set to 1 in any case.
        total = self.op.reduce_sum(
            self.op.multiply(hidden, self.op.unsqueeze(real, self.integers(2))), self.integers(1)
        )
        return self.op.normalize_l2(total, self.integers(1), 1e-12, "max")

    def dense(self, x: Any, name: str) -> Any:
        """x · Wᵀ + b; the file keeps W with outputs first."""
        product = self.op.matmul(x, self.weight(f"{name}.weight"), False, True)
        return self.op.add(product, self.weight(f"{name}.bias"))

    def normalise(self, x: Any, name: str) -> Any:
        centred = self.op.mvn(x, self.integers(-1), True, self.shape.epsilon, "inside_sqrt")
        scaled = self.op.multiply(centred, self.weight(f"{name}.weight"))
        return self.op.add(scaled, self.weight(f"{name}.bias"))

    def weight(self, name: str) -> Any:
        return self.constant(self.weights[name])

    def constant(self, value: "NDArray[np.float32]") -> Any:
        return self.op.constant(value, shared_memory=True)

    def integers(self, *values: int) -> Any:
        import numpy as np

        return self.op.constant(np.array(values, dtype=np.int64))

    def number(self, value: float) -> Any:
        import numpy as np

        return self.op.constant(np.float32(value))
