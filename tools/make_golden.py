"""Make tests/data/models and tests/golden/local_vectors.npz with sentence-transformers.

usage: python tools/make_golden.py

The models are tiny and random; what matters is that sentence-transformers
computed the vectors. Needs torch, sentence-transformers and optimum. Another
run trains other tokenizers, so all the files are made, and committed, together.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "tests" / "data" / "models"
GOLDEN = ROOT / "tests" / "golden"
HIDDEN, HEADS, LAYERS, INNER, POSITIONS, VOCABULARY = 32, 4, 2, 64, 40, 220
LIMIT = 32

CORPUS = [
    "the quick brown fox jumps over the lazy dog and runs away from the old red barn",
    "planets turn around the sun; mars is red, venus is bright, saturn has rings",
    "a model reads text, cuts it into tokens, and gives one vector for each text",
    "query: which planet is known as the red planet? passage: mars is the red planet",
    "it is raining cats and dogs here! numbers such as 1, 2, 3 and 42 are words too",
    "naïve café déjà vu, straße, 東京 and emoji are read as well as plain words",
]
TEXTS = [
    "mars is the red planet",
    "",
    "a",
    "The QUICK brown fox, naïve café!",
    "which planet is known as the red planet?",
    "東京 straße 42",
    "it is raining cats and dogs here! " * 12,
    "venus is bright and saturn has rings; the sun is far away from the old red barn",
]
"""Among them: none at all, one letter, capitals and accents, other scripts, too long."""


def _wordpiece(specials: list[str], edges: tuple[str, str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=specials, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _with_edges(tokenizer, edges)


def _with_edges(tokenizer: Tokenizer, edges: tuple[str, str]) -> Tokenizer:
    begin, end = edges
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B {end}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in edges],
    )
    return tokenizer


def _byte_level(specials: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + VOCABULARY // 2,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _with_edges(tokenizer, ("<s>", "</s>"))


def _unigram(specials: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY,
        special_tokens=specials,
        unk_token="<unk>",  # noqa: S106 - a token
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _with_edges(tokenizer, ("<s>", "</s>"))


BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MPNET_SPECIALS = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SIZES: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
}
DISTILBERT_SIZES: dict[str, Any] = {
    "dim": HIDDEN,
    "n_heads": HEADS,
    "n_layers": LAYERS,
    "hidden_dim": INNER,
    "max_position_embeddings": POSITIONS,
}


def _architectures() -> dict[str, tuple[Any, Any, torch.dtype]]:
    """Name -> tokenizer, model, and the type its weights are stored as."""
    bert = _wordpiece(BERT_SPECIALS, ("[CLS]", "[SEP]"))
    mpnet = _wordpiece(MPNET_SPECIALS, ("<s>", "</s>"))
    roberta, unigram = _byte_level(ROBERTA_SPECIALS), _unigram(ROBERTA_SPECIALS)
    tokenizers: dict[str, Any] = {
        "bert": hf.BertTokenizerFast(tokenizer_object=bert),
        "distilbert": hf.DistilBertTokenizerFast(tokenizer_object=bert),
        "mpnet": hf.MPNetTokenizerFast(tokenizer_object=mpnet),
        "roberta": hf.RobertaTokenizerFast(tokenizer_object=roberta),
        "xlm-roberta": hf.XLMRobertaTokenizerFast(tokenizer_object=unigram),
    }
    configs: dict[str, Any] = {
        "bert": hf.BertConfig(**SIZES),
        "distilbert": hf.DistilBertConfig(**DISTILBERT_SIZES),
        "mpnet": hf.MPNetConfig(**SIZES),
        "roberta": hf.RobertaConfig(**SIZES, pad_token_id=1),
        "xlm-roberta": hf.XLMRobertaConfig(**SIZES, pad_token_id=1),
    }
    stored = {"distilbert": torch.float16, "mpnet": torch.float16, "xlm-roberta": torch.bfloat16}
    made = {}
    for name, config in configs.items():
        config.vocab_size = len(tokenizers[name])
        model = hf.AutoModel.from_config(config)
        made[name] = (tokenizers[name], model, stored.get(name, torch.float32))
    return made


def _randomise(model: torch.nn.Module, seed: int) -> None:
    """Draw weights large enough that attention, biases and scales all matter."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            around = (
                1.0 if name.endswith("LayerNorm.weight") or "layer_norm.weight" in name else 0.0
            )
            weight.copy_(around + 0.25 * torch.randn(weight.shape, generator=draw))


def _save(name: str, tokenizer: Any, model: Any, dtype: torch.dtype) -> None:
    folder = MODELS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer.model_max_length = POSITIONS
    tokenizer.save_pretrained(folder)
    for file in ("vocab.txt", "special_tokens_map.json", "merges.txt", "vocab.json"):
        (folder / file).unlink(missing_ok=True)
    model.config.save_pretrained(folder)
    # The pooler is not used by sentence embeddings; published folders often lack it too.
    state = {
        key: value.to(dtype).contiguous()
        for key, value in model.state_dict().items()
        if not key.startswith("pooler.") and "position_ids" not in key
    }
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    _as_sentence_transformer(folder, {"pooling_mode_mean_tokens": True})


def _as_sentence_transformer(
    folder: Path, pooling: dict[str, Any], *, normalize: bool = True
) -> None:
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, (path, kind) in enumerate(kinds if normalize else kinds[:2])
    ]
    _write(folder / "modules.json", modules)
    switches = dict.fromkeys(
        (f"pooling_mode_{way}" for way in ("cls_token", "mean_tokens", "max_tokens")), False
    )
    _write(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": HIDDEN} | switches | pooling,
    )
    _write(folder / "sentence_bert_config.json", {"max_seq_length": LIMIT, "do_lower_case": False})


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _add_dense(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    modules.insert(2, dense)
    _write(
        folder / "modules.json",
        [entry | {"idx": n, "name": str(n)} for n, entry in enumerate(modules)],
    )
    config = {"in_features": HIDDEN, "out_features": 24, "bias": True}
    activation = {"activation_function": "torch.nn.modules.activation.Tanh"}
    _write(folder / "2_Dense" / "config.json", config | activation)
    draw = torch.Generator().manual_seed(7)
    weights = {
        "linear.weight": torch.randn(24, HIDDEN, generator=draw) / 4,
        "linear.bias": torch.randn(24, generator=draw) / 4,
    }
    save_file(weights, folder / "2_Dense" / "model.safetensors", {"format": "pt"})


VARIANTS: dict[str, dict[str, Any]] = {
    "cls": {"pooling_mode_cls_token": True},
    "max": {"pooling_mode_max_tokens": True},
    "mean_sqrt_len": {"pooling_mode_mean_sqrt_len_tokens": True},
    "weighted": {"pooling_mode_weightedmean_tokens": True},
    "last": {"pooling_mode_lasttoken": True},
    "cls_and_mean": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
    "without_prompt": {"pooling_mode_mean_tokens": True, "include_prompt": False},
}
"""Poolings of the bert folder; tests write the same into a copy."""
PROMPT = "query: "


def _vectors(folder: Path, prompt: str | None = None, **kwargs: Any) -> np.ndarray:
    model = SentenceTransformer(
        str(folder), device="cpu", model_kwargs={"dtype": torch.float32}, **kwargs
    )
    # One text at a time: padding changes the last digits.
    rows = [model.encode(text, prompt=prompt, show_progress_bar=False) for text in TEXTS]
    return np.stack(rows).astype(np.float32)


def _variants(scratch: Path) -> dict[str, np.ndarray]:
    found = {}
    for name, pooling in VARIANTS.items():
        folder = scratch / name
        shutil.copytree(MODELS / "bert", folder)
        _as_sentence_transformer(folder, pooling, normalize=False)
        found[f"bert/{name}"] = _vectors(folder, PROMPT if name == "without_prompt" else None)
    found["bert/prompt"] = _vectors(MODELS / "bert", PROMPT)
    found["bert/truncated"] = _vectors(MODELS / "bert", truncate_dim=16)
    plain = scratch / "plain"
    shutil.copytree(MODELS / "bert", plain)
    for name in ("modules.json", "sentence_bert_config.json"):
        (plain / name).unlink()
    found["bert/plain"] = _vectors(plain)
    found["bert-dense"] = _vectors(MODELS / "bert-dense")
    return found


def _export_onnx() -> None:
    from optimum.exporters.onnx import main_export  # noqa: PLC0415 - slow

    with tempfile.TemporaryDirectory() as made:
        main_export(
            str(MODELS / "bert"),
            output=made,
            task="feature-extraction",
            library_name="transformers",
            do_validation=False,
        )
        (MODELS / "bert" / "onnx").mkdir(exist_ok=True)
        shutil.copy(Path(made) / "model.onnx", MODELS / "bert" / "onnx" / "model.onnx")


def main() -> None:
    """Make all models and vectors."""
    golden: dict[str, np.ndarray] = {}
    for seed, (name, parts) in enumerate(_architectures().items()):
        tokenizer, model, dtype = parts
        _randomise(model, seed)
        _save(name, tokenizer, model, dtype)
        golden[name] = _vectors(MODELS / name)
    dense = MODELS / "bert-dense"
    shutil.rmtree(dense, ignore_errors=True)
    shutil.copytree(MODELS / "bert", dense)
    _add_dense(dense)
    with tempfile.TemporaryDirectory() as scratch:
        golden |= _variants(Path(scratch))
    # Kept small: a test puts the dense layer beside a copy of the bert folder.
    for file in dense.iterdir():
        if file.is_file() and file.name != "modules.json":
            file.unlink()
    shutil.rmtree(dense / "1_Pooling")
    _export_onnx()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(GOLDEN / "local_vectors.npz", **golden)  # type: ignore[arg-type]
    _write(GOLDEN / "local_texts.json", {"texts": TEXTS, "prompt": PROMPT, "poolings": VARIANTS})
    for name, vectors in golden.items():
        print(name, vectors.shape, np.abs(vectors).mean())


if __name__ == "__main__":
    main()
