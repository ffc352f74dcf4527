"""A method trains on packed rows as on the examples alone, or it says that it cannot."""

from functools import partial

import pytest
import torch
from torch.testing import assert_close

from sweeper.data.tokens.encoding import Tokens, collate
from sweeper.data.tokens.packing import pack
from sweeper.evaluation.likelihood import answer_logits
from sweeper.experiment.trial import TrialSpec
from sweeper_adapters.methods import HdPissaSpec, MtlLoraSpec
from tests.adapters.passes import train, trained
from tests.adapters.specs import SPECS, each
from tests.sweeper import tiny

# The same sums in another order, through layers whose gradients are small against the largest.
ROUNDING = 1e-4

# Of many lengths, so that packing pays.
LENGTHS = (5, 9, 3, 12, 4, 7)


def examples(vocabulary):
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(0, vocabulary, (size,), generator=generator) for size in LENGTHS]
    return [Tokens(tuple(row.tolist()), 1 + n % 2) for n, row in enumerate(rows)]


def loss_and_gradients(model, training, batch):
    def forward(*, domains, **inputs):
        training.set_task_ids(domains)
        return model(**inputs).logits

    model.train()
    model.zero_grad()
    torch.manual_seed(17)
    logits, labels = answer_logits(partial(forward, use_cache=False), batch)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    auxiliary = training.auxiliary_loss()
    (loss if auxiliary is None else loss + auxiliary).backward()
    return loss.detach(), {name: p.grad for name, p in trained(model).items()}


@each(lambda spec: spec.is_packable)
def test_loss_and_gradients_are_those_of_the_examples_alone(spec, llama):
    model = train(spec.inject(llama(), seed=0))
    training = spec.training(model, steps=4)
    rows = examples(model.get_input_embeddings().weight.shape[0])
    packed = pack(rows, 0, max_length=max(LENGTHS) + 8)
    assert len(packed["input_ids"]) < len(rows)
    found, gradients = loss_and_gradients(model, training, packed)
    wanted, others = loss_and_gradients(model, training, collate(rows, 0))
    assert_close(found, wanted, rtol=ROUNDING, atol=0)
    largest = max(float(gradient.abs().max()) for gradient in others.values())
    for name, gradient in others.items():
        assert_close(
            gradients[name],
            gradient,
            rtol=ROUNDING,
            atol=ROUNDING * largest,
            msg=partial("{}: {}".format, name),
        )


def packing(spec):
    settings = tiny.trial(packing=True).model_dump()
    return TrialSpec.model_validate({**settings, "method": spec})


@each(lambda spec: not spec.is_packable)
def test_what_cannot_be_packed_is_refused(spec):
    with pytest.raises(ValueError, match=rf"packing is true but {spec.name} adds to the rows"):
        packing(spec)


def test_which_methods_can_be_packed():
    refused = {spec.name for spec in SPECS.values() if not spec.is_packable}
    assert refused == {"prompt_tuning", "p_tuning", "mtl_lora", "loramoe", "hd_pissa"}
    # Where there is nothing to tell apart they can be.
    assert MtlLoraSpec(rank=4).is_packable
    assert HdPissaSpec(rank=3, slices=1).is_packable
    assert packing(SPECS["lora"]).train.packing
