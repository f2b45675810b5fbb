"""Make tests/golden/reranking.npz and tests/data/models/bert-cross with sentence-transformers.

usage: python tools/make_rerank_golden.py

Each encoder of tests/data/models gets a random classification head; the file holds
the heads and the scores that sentence-transformers' CrossEncoder computed. The folder
is the first of these models, in float16. Run it after tools/make_golden.py. Needs
torch and sentence-transformers.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "tests" / "data" / "models"
GOLDEN = ROOT / "tests" / "golden"
ARCHITECTURES = ("bert", "distilbert", "mpnet", "roberta", "xlm-roberta")
LIMIT = 32
IDENTITY = "torch.nn.modules.linear.Identity"


def _describe(folder: Path, architecture: str) -> hf.PretrainedConfig:
    config = hf.AutoConfig.from_pretrained(MODELS / architecture)
    config.num_labels = 1
    config.sentence_transformers = {"activation_fn": IDENTITY}
    config.architectures = [type(_bare(config)).__name__]
    config.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODELS / architecture / name, folder / name)
    place = folder / "tokenizer_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"model_max_length": LIMIT}))
    return config


def _bare(config: hf.PretrainedConfig) -> torch.nn.Module:
    model: torch.nn.Module = hf.AutoModelForSequenceClassification.from_config(config)
    return model


def _head(model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Draw the weights that a model has over its encoder's, of the sizes trained ones have."""
    draw = torch.Generator().manual_seed(seed)
    return {
        name: (0.05 if value.shape[0] == 1 else 0.25) * torch.randn(value.shape, generator=draw)
        for name, value in model.state_dict().items()
        if "classifier" in name or "pooler" in name
    }


def main() -> None:
    """Make all heads and scores."""
    golden: dict[str, np.ndarray] = {}
    asked = json.loads((GOLDEN / "local_texts.json").read_text("utf-8"))["texts"]
    pairs = [(query, text) for query in (asked[4], asked[6]) for text in asked]
    for seed, architecture in enumerate(ARCHITECTURES):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            model = _bare(_describe(folder, architecture))
            head = _head(model, seed)
            encoder = load_file(MODELS / architecture / "model.safetensors")
            prefix = f"{model.base_model_prefix}."
            weights = head | {f"{prefix}{name}": value for name, value in encoder.items()}
            save_file(weights, folder / "model.safetensors", {"format": "pt"})
            float32 = {"dtype": torch.float32}
            reference = CrossEncoder(str(folder), device="cpu", model_kwargs=float32)
            if architecture == "bert":
                cross = MODELS / "bert-cross"
                shutil.copytree(folder, cross, dirs_exist_ok=True)
                narrow = {name: value.half() for name, value in weights.items()}
                save_file(narrow, cross / "model.safetensors", {"format": "pt"})
            # One pair at a time: padding changes the last digits.
            scores = [reference.predict(pair) for pair in pairs]
        golden[f"{architecture}/scores"] = np.array(scores, np.float32).reshape(2, -1)
        golden |= {f"{architecture}/head/{name}": value.numpy() for name, value in head.items()}
        print(architecture, golden[f"{architecture}/scores"])
    np.savez_compressed(GOLDEN / "reranking.npz", **golden)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
