#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sentence-embedding model all-MiniLM-L6-v2 in PyTorch, its LayerNorms replaced by halnorm's.

The network (Devlin et al. 2018, arXiv:1810.04805) around the published weights. Its embeddings of
three sentences must have the published similarities with halnorm's norms, too; then it runs on the
text of this repository's README, with PyTorch's norms and with halnorm's.

    pip install --no-deps -r ../requirements.txt
    pip install torch
    python sentence_transformer.py
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from published import (
    SENTENCES,
    add_model_argument,
    check_embeddings,
    model_directory,
    read_config,
    read_tokenizer,
    read_weights,
)

EXAMPLES = Path(__file__).resolve().parent.parent
sys.path.append(str(EXAMPLES))
from compare import compare, use_one_thread, with_halnorm  # noqa: E402

SEQUENCES, LENGTH = 4, 128  # the model was trained on at most 128 tokens


# The names of the parts are those of the published weights.
class Embeddings(nn.Module):
    def __init__(self, config: dict) -> None:
        super().__init__()
        hidden = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], hidden)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], hidden)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], hidden)
        self.LayerNorm = nn.LayerNorm(hidden, config["layer_norm_eps"])

    def forward(self, ids: Tensor) -> Tensor:
        positions = self.position_embeddings.weight[: ids.shape[1]]
        token_type = self.token_type_embeddings.weight[0]  # every token is of the first sentence
        return self.LayerNorm(self.word_embeddings(ids) + token_type + positions)


class AddAndNorm(nn.Module):
    def __init__(self, inputs: int, config: dict) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config["hidden_size"])
        self.LayerNorm = nn.LayerNorm(config["hidden_size"], config["layer_norm_eps"])

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x) + residual)


class Layer(nn.Module):
    def __init__(self, config: dict) -> None:
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.heads = config["num_attention_heads"]
        projections = {name: nn.Linear(hidden, hidden) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict(
            {"self": nn.ModuleDict(projections), "output": AddAndNorm(hidden, config)}
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(hidden, inner)})
        self.output = AddAndNorm(inner, config)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in self.attention["self"].values()
        )
        context = functional.scaled_dot_product_attention(query, key, value)
        x = self.attention["output"](context.transpose(1, 2).flatten(2), x)
        return self.output(functional.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """Ids (sequences, tokens), without padding, to states (sequences, tokens, hidden)."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.encoder = nn.ModuleDict({"layer": layers})

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embeddings(ids)
        for layer in self.encoder["layer"]:
            x = layer(x)
        return x


def read_bert(directory: Path) -> Bert:
    bert = Bert(read_config(directory)).eval()
    weights = {name: torch.from_numpy(w) for name, w in read_weights(directory).items()}
    unknown = bert.load_state_dict(weights, strict=False)
    # The pooler is not part of a sentence embedding.
    unexpected = [k for k in unknown.unexpected_keys if not k.startswith("pooler.")]
    unexpected = [k for k in unexpected if k != "embeddings.position_ids"]
    if unknown.missing_keys or unexpected:
        raise SystemExit(f"{directory}: weights missing {unknown.missing_keys}, left {unexpected}")
    return bert


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_model_argument(parser)
    directory = model_directory(parser.parse_args().model)
    use_one_thread()
    bert = read_bert(directory)
    tokenizer = read_tokenizer(directory)

    replica, replaced = with_halnorm(bert)
    print(f"{len(replaced)} LayerNorms replaced")
    with torch.no_grad():
        sentences = [torch.tensor([tokenizer.encode(sentence).ids]) for sentence in SENTENCES]
        check_embeddings([replica(ids)[0].numpy() for ids in sentences])

    compare("one sentence", bert, sentences[0])
    tokenizer.no_truncation()
    text = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids)
    sequences = ids[: SEQUENCES * LENGTH].view(SEQUENCES, LENGTH)
    compare("the beginning of README.md", bert, sequences)


if __name__ == "__main__":
    main()
