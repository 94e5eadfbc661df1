#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the sentence-embedding model all-MiniLM-L6-v2 and saves what its LayerNorms see.

For each of the model's 13 LayerNorms, four .npy files (float32) go to the data directory: the
input activations, gamma, beta, and the output that the model itself computed from them.
manifest.txt lists the LayerNorms, one a line, for the C program minilm_layer_norm.c.

What runs the model: ONNX Runtime on the CPU. This script writes the network (Devlin et al.
2018, arXiv:1810.04805; post-LayerNorm, 6 layers, hidden size 384, 12 heads, eps 1e-12) as an
ONNX graph around the published float32 weights, with every LayerNorm's input and output as an
extra graph output. So the saved output is that of ONNX Runtime's own LayerNormalization
kernel, in the course of a run of the whole model, with graph optimizations off so that no
LayerNorm is fused with its neighbours. PyTorch would do as well, but its Linux wheel on PyPI is a
CUDA build of half a gigabyte, before its dependencies.

Each sentence is run alone, with its special tokens and without padding, so the attention mask
would be all ones and there is none. The rows of a file are the tokens of all sentences in turn.

How we know that it is the model: the weights' SHA-256 is checked, and the cosine similarities
of the sentence embeddings must equal those that the Sentence Transformers documentation prints
for the same three sentences, to the four digits that it prints.

To run it (Python 3.11 or later), in a virtual environment:

    pip install --no-deps -r requirements.txt
    python extract.py
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from published import (
    SENTENCES,
    add_model_argument,
    check_embeddings,
    model_directory,
    read_config,
    read_tokenizer,
    read_weights,
)

MANIFEST_HEADER = """\
# The LayerNorms of all-MiniLM-L6-v2, in the order in which they run: name rows columns eps
# NAME.input.npy and NAME.output.npy are rows x columns, NAME.gamma.npy and NAME.beta.npy columns.
"""


class BertGraph:
    """The encoder as an ONNX graph for one sentence: (tokens,) ids in, (tokens, hidden) out."""

    def __init__(self, weights: dict[str, np.ndarray], config: dict) -> None:
        self.weights = weights
        self.config = config
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.layer_norms: dict[str, tuple[str, str]] = {}  # name -> (input, output) tensors

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers[name] = numpy_helper.from_array(value, name)
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def op(self, op_type: str, inputs: list[str], **attributes: Any) -> str:
        output = f"{op_type}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], **attributes))
        return output

    def dense(self, x: str, name: str) -> str:
        # The published weight is (out, in), as in torch.nn.Linear.
        bias = self.weight(f"{name}.bias")
        return self.op("Gemm", [x, self.weight(f"{name}.weight"), bias], transB=1)

    def layer_norm(self, x: str, name: str) -> str:
        y = self.op(
            "LayerNormalization",
            [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")],
            axis=-1,
            epsilon=self.config["layer_norm_eps"],
        )
        self.layer_norms[name] = (x, y)
        return y

    def embeddings(self, ids: str, positions: str) -> str:
        word_table = self.weight("embeddings.word_embeddings.weight")
        position_table = self.weight("embeddings.position_embeddings.weight")
        words = self.op("Gather", [word_table, ids])
        places = self.op("Gather", [position_table, positions])
        # A single sentence: every token is of type 0.
        token_type = self.constant(
            "token_type_0", self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        total = self.op("Add", [self.op("Add", [words, token_type]), places])
        return self.layer_norm(total, "embeddings.LayerNorm")

    def attention(self, x: str, name: str) -> str:
        heads = self.config["num_attention_heads"]
        head_size = self.config["hidden_size"] // heads
        split = self.constant("split_heads", np.array([-1, heads, head_size], np.int64))
        merge = self.constant("merge_heads", np.array([-1, heads * head_size], np.int64))
        scale = self.constant("scale", np.array(head_size**-0.5, np.float32))

        def project(part: str, perm: list[int]) -> str:
            flat = self.dense(x, f"{name}.self.{part}")
            return self.op("Transpose", [self.op("Reshape", [flat, split])], perm=perm)

        query = project("query", [1, 0, 2])
        key_transposed = project("key", [1, 2, 0])
        value = project("value", [1, 0, 2])
        scores = self.op("Mul", [self.op("MatMul", [query, key_transposed]), scale])
        context = self.op("MatMul", [self.op("Softmax", [scores], axis=-1), value])
        rows = self.op("Reshape", [self.op("Transpose", [context], perm=[1, 0, 2]), merge])
        return self.dense(rows, f"{name}.output.dense")

    def encoder_layer(self, x: str, name: str) -> str:
        attended = self.op("Add", [self.attention(x, f"{name}.attention"), x])
        x = self.layer_norm(attended, f"{name}.attention.output.LayerNorm")
        hidden = self.op("Gelu", [self.dense(x, f"{name}.intermediate.dense")])  # exact, by erf
        forwarded = self.op("Add", [self.dense(hidden, f"{name}.output.dense"), x])
        return self.layer_norm(forwarded, f"{name}.output.LayerNorm")

    def session(self) -> onnxruntime.InferenceSession:
        x = self.embeddings("ids", "positions")
        for layer in range(self.config["num_hidden_layers"]):
            x = self.encoder_layer(x, f"encoder.layer.{layer}")

        tokens_by_hidden = ["tokens", self.config["hidden_size"]]
        graph = helper.make_graph(
            self.nodes,
            "all-MiniLM-L6-v2",
            [
                helper.make_tensor_value_info(n, TensorProto.INT64, ["tokens"])
                for n in ("ids", "positions")
            ],
            [
                helper.make_tensor_value_info(tensor, TensorProto.FLOAT, tokens_by_hidden)
                for pair in self.layer_norms.values()
                for tensor in pair
            ],
            list(self.initializers.values()),
        )
        # Opset 20 is the first with Gelu; IR version 10 goes with it.
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def float64_layer_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> np.ndarray:
    x = x.astype(np.float64)
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = (centered**2).mean(axis=-1, keepdims=True)
    return centered / np.sqrt(variance + eps) * gamma + beta


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_model_argument(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parent / "data",
        help="where the .npy files go (default: data, beside this script)",
    )
    args = parser.parse_args()
    model = model_directory(args.model)
    config = read_config(model)
    weights = read_weights(model)
    tokenizer = read_tokenizer(model)
    bert = BertGraph(weights, config)
    session = bert.session()

    runs: list[dict[str, np.ndarray]] = []
    for sentence in SENTENCES:
        encoding = tokenizer.encode(sentence)
        print(" ".join(encoding.tokens))
        ids = np.array(encoding.ids, np.int64)
        tensors = session.run(None, {"ids": ids, "positions": np.arange(len(ids))})
        names = (output.name for output in session.get_outputs())
        runs.append(dict(zip(names, tensors, strict=True)))
    last_output = list(bert.layer_norms.values())[-1][1]
    check_embeddings([run[last_output] for run in runs])

    args.out.mkdir(parents=True, exist_ok=True)
    eps = config["layer_norm_eps"]
    manifest = MANIFEST_HEADER
    print("greatest difference of the model's own output from a float64 LayerNorm:")
    for name, (input_tensor, output_tensor) in bert.layer_norms.items():
        arrays = {
            "input": np.concatenate([run[input_tensor] for run in runs]),
            "gamma": weights[f"{name}.weight"],
            "beta": weights[f"{name}.bias"],
            "output": np.concatenate([run[output_tensor] for run in runs]),
        }
        for kind, array in arrays.items():
            assert array.dtype == np.float32, (name, kind, array.dtype)
            np.save(args.out / f"{name}.{kind}.npy", array)
        rows, columns = arrays["input"].shape
        manifest += f"{name} {rows} {columns} {eps:g}\n"

        reference = float64_layer_norm(arrays["input"], arrays["gamma"], arrays["beta"], eps)
        difference = np.abs(arrays["output"] - reference).max()
        print(f"  {difference:.2e}  {name}  (|y| up to {np.abs(reference).max():.1f})")
    (args.out / "manifest.txt").write_text(manifest, encoding="utf-8")


if __name__ == "__main__":
    main()
