"""Seeded choices by content."""

from hypothesis import given
from hypothesis import strategies as st

from sweeper.data import Example
from sweeper.data.splitting import sample, split_off

EXAMPLES = st.lists(
    st.builds(Example, prompt=st.text(max_size=3), answer=st.text(max_size=3)), min_size=1
)


@given(EXAMPLES, st.floats(0.01, 0.49), st.integers(0, 9))
def test_split_off_is_a_partition_by_prompt(examples, fraction, seed):
    kept, taken = split_off(examples, fraction, seed=seed)
    assert len(kept) + len(taken) == len(examples)
    assert taken
    assert not {e.prompt for e in kept} & {e.prompt for e in taken}


@given(EXAMPLES, st.integers(1, 20), st.integers(0, 9))
def test_sample_keeps_the_order(examples, rows, seed):
    found = sample(examples, rows, seed=seed)
    assert len(found) == min(rows, len(examples))
    remaining = iter(examples)
    assert all(example in remaining for example in found)


def test_no_limit():
    examples = (Example("a", "b"), Example("c", "d"))
    assert sample(examples, None, seed=0) == examples
