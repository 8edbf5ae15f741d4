"""Builds the ONNX graph of a BERT-like sentence model from its weights.

The usual way, exporting with torch, would cost gigabytes of packages for a graph of a few dozen
nodes. The architecture: Devlin et al., "BERT" (2018); sentence vectors by the mean over real
tokens, scaled to length 1: Reimers & Gurevych, "Sentence-BERT" (2019).

Inputs `ids` and `mask`, int64 of shape (batch, tokens); output `vectors`, float32 of shape
(batch, dimension).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from menos_vault.embeddings.weights import read_weights
from menos_vault.errors import ModelCorrupt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAPH_VERSION = 1
"""Raised when the graph changes, so that one on the disk is built anew."""

_OPSET = 17  # the first with LayerNormalization
_IR_VERSION = 9  # understood by every supported onnxruntime


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


def build_graph(folder: Path, target: Path) -> None:
    """Write the graph of the model in `folder` to `target`, weights included.

    Raises ModelCorrupt if a weight is missing.
    """
    import onnx

    weights = read_weights(folder / "model.safetensors")
    try:
        graph = _Graph(weights, read_shape(folder)).build()
    except KeyError as error:
        raise ModelCorrupt(f"{folder / 'model.safetensors'} has no tensor {error}") from error
    onnx.save_model(graph, str(target))


class _Graph:
    """Collects nodes; each method appends some and returns the name of their result."""

    def __init__(self, weights: "dict[str, NDArray[np.float32]]", shape: Shape) -> None:
        # Some files name every tensor with the model in front.
        self.weights = {name.removeprefix("bert."): value for name, value in weights.items()}
        self.shape = shape
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def build(self) -> Any:
        import onnx
        from onnx import TensorProto, helper

        hidden = self.embeddings()
        blocked = self.attention_mask()
        for layer in range(self.shape.layers):
            hidden = self.layer(f"encoder.layer.{layer}", hidden, blocked)
        vectors = self.pool(hidden)
        size = ["batch", "tokens"]
        graph = helper.make_graph(
            [*self.nodes, helper.make_node("Identity", [vectors], ["vectors"])],
            "sentence",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, size),
                helper.make_tensor_value_info("mask", TensorProto.INT64, size),
            ],
            [
                helper.make_tensor_value_info(
                    "vectors", TensorProto.FLOAT, ["batch", self.shape.dimension]
                )
            ],
            list(self.constants.values()),
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
        )
        onnx.checker.check_model(model)
        return model

    def embeddings(self) -> str:
        """Sum word, position and (always the first) segment vectors, then normalise."""
        words = self.node("Gather", self.weight("embeddings.word_embeddings.weight"), "ids")
        # One segment only, so its vector can be added to the positions beforehand.
        table = (
            self.weights["embeddings.position_embeddings.weight"]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        length = self.node("Shape", "ids", start=1, end=2)
        positions = self.node(
            "Slice",
            self.constant("positions", table),
            self.integers("zero", [0]),
            length,
            self.integers("zero", [0]),
        )
        return self.normalise(self.node("Add", words, positions), "embeddings.LayerNorm")

    def attention_mask(self) -> str:
        """Turn the mask into (batch, 1, 1, tokens): 0 where a token is real, else very negative."""
        mask = self.node("Cast", "mask", to=1)
        mask = self.node("Unsqueeze", mask, self.integers("axes", [1, 2]))
        padding = self.node("Sub", self.floats("one", 1.0), mask)
        return self.node("Mul", padding, self.floats("never", -1e9))

    def layer(self, name: str, hidden: str, blocked: str) -> str:
        """Self-attention, then two dense layers; each added to what went in, and normalised."""
        attended = self.attention(f"{name}.attention.self", hidden, blocked)
        attended = self.dense(attended, f"{name}.attention.output.dense")
        hidden = self.normalise(
            self.node("Add", attended, hidden), f"{name}.attention.output.LayerNorm"
        )
        inner = self.gelu(self.dense(hidden, f"{name}.intermediate.dense"))
        outer = self.dense(inner, f"{name}.output.dense")
        return self.normalise(self.node("Add", outer, hidden), f"{name}.output.LayerNorm")

    def attention(self, name: str, hidden: str, blocked: str) -> str:
        """Scaled dot-product attention over `heads` parts of the vectors."""
        width = self.shape.dimension // self.shape.heads
        split = self.integers("split", [0, 0, self.shape.heads, width])
        query = self.node("Reshape", self.dense(hidden, f"{name}.query"), split)
        key = self.node("Reshape", self.dense(hidden, f"{name}.key"), split)
        value = self.node("Reshape", self.dense(hidden, f"{name}.value"), split)
        query = self.node("Transpose", query, perm=[0, 2, 1, 3])
        key = self.node("Transpose", key, perm=[0, 2, 3, 1])
        value = self.node("Transpose", value, perm=[0, 2, 1, 3])
        scores = self.node("MatMul", query, key)
        scores = self.node("Mul", scores, self.floats("scale", width**-0.5))
        shares = self.node("Softmax", self.node("Add", scores, blocked), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self.node("Reshape", mixed, self.integers("join", [0, 0, self.shape.dimension]))

    def gelu(self, x: str) -> str:
        """x · ½ · (1 + erf(x / √2)), in the form that onnxruntime fuses into one kernel."""
        error = self.node("Erf", self.node("Div", x, self.floats("root_two", 2**0.5)))
        grown = self.node("Mul", x, self.node("Add", error, self.floats("one", 1.0)))
        return self.node("Mul", grown, self.floats("half", 0.5))

    def pool(self, hidden: str) -> str:
        """Mean over real tokens, scaled to length 1."""
        mask = self.node("Cast", "mask", to=1)
        mask = self.node("Unsqueeze", mask, self.integers("last", [-1]))
        axis = self.integers("tokens", [1])
        total = self.node("ReduceSum", self.node("Mul", hidden, mask), axis, keepdims=0)
        count = self.node("ReduceSum", mask, axis, keepdims=0)
        mean = self.node("Div", total, self.node("Max", count, self.floats("tiny", 1e-9)))
        return self.node("LpNormalization", mean, axis=-1, p=2)

    def dense(self, x: str, name: str) -> str:
        """x · Wᵀ + b; the file keeps W with outputs first."""
        weight = self.constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        return self.node("Add", self.node("MatMul", x, weight), self.weight(f"{name}.bias"))

    def normalise(self, x: str, name: str) -> str:
        return self.node(
            "LayerNormalization",
            x,
            self.weight(f"{name}.weight"),
            self.weight(f"{name}.bias"),
            axis=-1,
            epsilon=self.shape.epsilon,
        )

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def constant(self, name: str, value: "NDArray[Any]") -> str:
        import numpy as np
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, name: str, values: Sequence[int]) -> str:
        import numpy as np

        return self.constant(name, np.array(values, dtype=np.int64))

    def floats(self, name: str, value: float) -> str:
        import numpy as np

        return self.constant(name, np.array(value, dtype=np.float32))
