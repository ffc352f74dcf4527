"""NEFTune's noise: in training alone, of the size that the paper gives, and gone with the trial."""

import math

import torch
from torch import nn
from torch.testing import assert_close

from sweeper.training.hooks.embedding_noise import add_noise


@torch.no_grad()
def test_noise_is_uniform_in_its_bound_and_only_in_training():
    embedding = nn.Embedding(50, 16)
    ids = torch.randint(50, (4, 25))
    plain = embedding(ids)
    handle = add_noise(embedding, alpha=5)
    noise = embedding.train()(ids) - plain
    bound = 5 / math.sqrt(25 * 16)
    assert float(noise.abs().max()) <= bound * (1 + 1e-5)
    assert float(noise.abs().max()) > 0.95 * bound
    # Uniform: its standard deviation is the bound over the root of 3.
    assert_close(noise.std().item(), bound / math.sqrt(3), rtol=0.05, atol=0)
    assert torch.equal(embedding.eval()(ids), plain)
    handle.remove()
    assert torch.equal(embedding.train()(ids), plain)
