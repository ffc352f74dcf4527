"""Shapes of published models, and what share of one a method trains."""

from sweeper_adapters.methods import Linear, ModelShape


def decoder(*, layers, hidden, key_value, feed_forward, total):
    linears = (
        Linear("q_proj", hidden, hidden),
        Linear("k_proj", hidden, key_value),
        Linear("v_proj", hidden, key_value),
        Linear("o_proj", hidden, hidden),
        Linear("gate_proj", hidden, feed_forward),
        Linear("up_proj", hidden, feed_forward),
        Linear("down_proj", feed_forward, hidden),
    )
    return ModelShape(layers, linears, total)


LLAMA3_8B = decoder(layers=32, hidden=4096, key_value=1024, feed_forward=14336, total=8_030_261_248)
LLAMA32_3B = decoder(layers=28, hidden=3072, key_value=1024, feed_forward=8192, total=3_212_749_824)
LLAMA2_7B = decoder(layers=32, hidden=4096, key_value=4096, feed_forward=11008, total=6_738_415_616)
TINY = decoder(layers=4, hidden=32, key_value=16, feed_forward=48, total=50_000)


def published(shape, spec):
    trained = spec.count(shape)
    return 100 * trained / (shape.total_parameters + trained)
