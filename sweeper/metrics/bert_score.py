"""BERTScore with any encoder in a local folder.

The package ``bert-score`` (0.3.13, its last) does not run on transformers 5: it asks the tokenizer
for methods that are gone. What it does is little, and is written here after the paper
(arXiv:1904.09675, section 3), on transformers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.errors import BadInputError, MissingError
from sweeper.metrics.estimates import Estimate, mean_estimate, require_pairs

if TYPE_CHECKING:
    import torch

__all__ = ["bert_score"]


def bert_score(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    model: str | Path,
    layer: int | None = None,
    batch_size: int = 32,
    device: str = "cpu",
) -> Estimate:
    """Returns the mean F1 of BERTScore, without idf weights and without rescaling.

    Each token of one text is matched with the most similar one of the other, by the cosine of
    their contextual embeddings; precision and recall are the means over the tokens, of which the
    special ones do not count. As in the authors' code, they may be matched with. A text without
    tokens scores 0.

    Args:
        predictions: generations.
        references: what they should be like.
        model: folder of an encoder and its tokenizer, in the format of transformers.
        layer: whose outputs are the embeddings, from 1; the last where None. The authors found
            the 17th of roberta-large best, the 9th of bert-base-uncased.
        batch_size: texts of one forward pass.
        device: where the encoder runs.

    Raises:
        BadInputError: predictions and references do not belong together, or there is no such layer.
        MissingError: the folder is not there or has no encoder.
    """
    require_pairs(predictions, references, "predictions and references")
    encoder = _Encoder(Path(model), layer=layer, device=device)
    # Longest first, so that one batch tells how much memory it takes; and each text only once.
    texts = sorted({*predictions, *references}, key=lambda text: (-len(text), text))
    embedded: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        embedded.update(zip(batch, encoder.embed(batch), strict=True))
    pairs = zip(predictions, references, strict=True)
    return mean_estimate([_f1(embedded[got], embedded[want]) for got, want in pairs])


class _Encoder:
    """An encoder with its tokenizer."""

    def __init__(self, folder: Path, *, layer: int | None, device: str) -> None:
        if not (folder / "config.json").is_file():
            raise MissingError(
                f"the metric bert_score needs an encoder, and {folder} has no config.json; a "
                "folder in the format of transformers is wanted; run: hf download "
                f"roberta-large --local-dir {folder}"
            )
        from transformers import AutoModel, AutoTokenizer

        self._device = device
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModel.from_pretrained(folder)
        self._model = model.eval().to(device)
        layers = model.config.num_hidden_layers
        if layer is not None and not 1 <= layer <= layers:
            raise BadInputError(
                f"the encoder in {folder} has no layer {layer}; it has layers 1 to {layers}; "
                "choose one of them"
            )
        self._layer = layers if layer is None else layer
        # Some tokenizers know no limit, and say so by a number that no index can have.
        known = getattr(model.config, "max_position_embeddings", None) or 512
        # RoBERTa counts positions from behind its padding token.
        offset = model.config.pad_token_id + 1 if "roberta" in model.config.model_type else 0
        self._max_length = min(self._tokenizer.model_max_length, known - offset)

    def embed(self, texts: Sequence[str]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Returns, of each text, unit vectors [T, features] and which of them count, bool [T]."""
        import torch

        batch = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._max_length,
            return_special_tokens_mask=True,
            return_tensors="pt",
        ).to(self._device)
        is_special = batch.pop("special_tokens_mask").bool()
        with torch.no_grad():
            states = self._model(**batch, output_hidden_states=True).hidden_states[self._layer]
        vectors = torch.nn.functional.normalize(states.float(), dim=-1)
        is_token = batch["attention_mask"].bool()
        return [(x[t], ~s[t]) for x, s, t in zip(vectors, is_special, is_token, strict=True)]


def _f1(
    prediction: tuple[torch.Tensor, torch.Tensor], reference: tuple[torch.Tensor, torch.Tensor]
) -> float:
    (got, got_counts), (want, want_counts) = prediction, reference
    if not got_counts.any() or not want_counts.any():
        return 0.0
    similarity = got @ want.T
    precision = float(similarity.max(dim=1).values[got_counts].mean())
    recall = float(similarity.max(dim=0).values[want_counts].mean())
    # Cosines may be negative, and cancel.
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
