"""BERTScore with any encoder in a local folder.

The package ``bert-score`` (0.3.13, its last) does not run on transformers 5: it asks the tokenizer
for methods that are gone. What it does is little, and is written here after the paper
(arXiv:1904.09675, section 3), on transformers alone: without idf weights, without rescaling.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sweeper.errors import BadInputError, MissingError
from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.inputs import require_pairs

if TYPE_CHECKING:
    import torch

__all__ = ["Match", "Matcher", "bert_score", "bert_score_precision", "bert_score_recall"]


class Match(NamedTuple):
    """How well the tokens of two texts match, from -1 to 1; 0 where one has none."""

    precision: float
    """Mean over the prediction's tokens."""
    recall: float
    """Mean over the reference's tokens."""

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        total = self.precision + self.recall
        # Cosines may be negative, and cancel.
        return 2 * self.precision * self.recall / total if total else 0.0


class Matcher:
    """Matches texts by an encoder; each pair passes it once, whatever is asked of it.

    Each token of one text is matched with the most similar one of the other, by the cosine of
    their contextual embeddings. Special tokens do not count; as in the authors' code, they may be
    matched with.

    Args:
        folder: an encoder and its tokenizer, in the format of transformers.
        layer: whose outputs are the embeddings, from 1; the last where None. The authors found
            the 17th of roberta-large best, the 9th of bert-base-uncased.
        batch_size: pairs of one forward pass.
        device: where the encoder runs.

    Raises:
        BadInputError: there is no such layer.
        MissingError: the folder is not there or has no encoder.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        layer: int | None = None,
        batch_size: int = 16,
        device: str = "cpu",
    ) -> None:
        self._encoder = _Encoder(Path(folder), layer=layer, device=device)
        self._batch_size = batch_size
        self._known: dict[tuple[str, str], Match] = {}

    def match(self, predictions: Sequence[str], references: Sequence[str]) -> list[Match]:
        """Returns the match of each prediction with its reference.

        Raises:
            BadInputError: predictions and references do not belong together.
        """
        require_pairs(predictions, references, "predictions and references")
        pairs = list(zip(predictions, references, strict=True))
        # Longest first, so that one batch tells how much memory it takes.
        new = sorted(set(pairs) - self._known.keys(), key=lambda p: (-max(map(len, p)), p))
        for start in range(0, len(new), self._batch_size):
            batch = new[start : start + self._batch_size]
            texts = sorted({text for pair in batch for text in pair})
            embedded = dict(zip(texts, self._encoder.embed(texts), strict=True))
            for got, want in batch:
                self._known[got, want] = _match(embedded[got], embedded[want])
        return [self._known[pair] for pair in pairs]


def bert_score(
    predictions: Sequence[str], references: Sequence[str], *, matcher: Matcher
) -> Estimate:
    """Returns the mean F1 of BERTScore.

    The errors are those of :meth:`Matcher.match`.
    """
    return mean_estimate([found.f1 for found in matcher.match(predictions, references)])


def bert_score_precision(
    predictions: Sequence[str], references: Sequence[str], *, matcher: Matcher
) -> Estimate:
    """Returns the mean precision of BERTScore.

    The errors are those of :meth:`Matcher.match`.
    """
    return mean_estimate([found.precision for found in matcher.match(predictions, references)])


def bert_score_recall(
    predictions: Sequence[str], references: Sequence[str], *, matcher: Matcher
) -> Estimate:
    """Returns the mean recall of BERTScore.

    The errors are those of :meth:`Matcher.match`.
    """
    return mean_estimate([found.recall for found in matcher.match(predictions, references)])


class _Encoder:
    """An encoder with its tokenizer."""

    def __init__(self, folder: Path, *, layer: int | None, device: str) -> None:
        if not (folder / "config.json").is_file():
            raise MissingError(
                f"the metric bert_score needs an encoder, and {folder} has no config.json; it must "
                "be a folder in the format of transformers; run: hf download roberta-large "
                f"--local-dir {folder}"
            )
        from transformers import AutoModel, AutoTokenizer

        self._device = device
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Any = AutoModel.from_pretrained(folder, trust_remote_code=False)
        self._model = model.eval().to(device)
        layers = model.config.num_hidden_layers
        if layer is not None and not 1 <= layer <= layers:
            raise BadInputError(
                f"the encoder in {folder} has no layer {layer}; it has layers 1 to {layers}; "
                "set evaluation.encoder_layer to one of them, or to null for the last"
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


def _match(
    prediction: tuple[torch.Tensor, torch.Tensor], reference: tuple[torch.Tensor, torch.Tensor]
) -> Match:
    (got, got_counts), (want, want_counts) = prediction, reference
    if not got_counts.any() or not want_counts.any():
        return Match(0.0, 0.0)
    similarity = got @ want.T
    precision = similarity.max(dim=1).values[got_counts].mean()
    recall = similarity.max(dim=0).values[want_counts].mean()
    return Match(float(precision), float(recall))
