"""The size of MASA, as published."""

import pytest

from sweeper_adapters.methods import MasaControlSpec, MasaSpec
from tests.adapters.shapes import LLAMA3_8B, LLAMA32_3B, TINY, published


def masa(**values):
    """MASA as counted in the paper's tables: with the router."""
    return MasaSpec(router="softmax", **values)


@pytest.mark.parametrize(
    ("shape", "spec", "percent"),
    [
        # Tables 1 and 2.
        (LLAMA3_8B, masa(), "0.5220"),
        # Table 3: experts without sharing.
        (LLAMA3_8B, masa(sharing="none"), "0.8280"),
        # Table 4: N on the left, M on the right.
        (LLAMA3_8B, masa(experts=3), "0.37"),
        (LLAMA3_8B, masa(experts=4), "0.45"),
        (LLAMA3_8B, masa(experts=5), "0.52"),
        (LLAMA3_8B, masa(experts=6), "0.60"),
        (LLAMA3_8B, masa(up_projections=1), "0.52"),
        (LLAMA3_8B, masa(up_projections=2), "0.73"),
        (LLAMA3_8B, masa(up_projections=3), "0.95"),
        # Table 5: what is shared.
        (LLAMA3_8B, masa(sharing="b"), "0.7605"),
        (LLAMA3_8B, masa(sharing="both"), "0.4541"),
        # Table 6: S.
        (LLAMA3_8B, masa(group_size=1), "0.828"),
        (LLAMA3_8B, masa(group_size=2), "0.522"),
        (LLAMA3_8B, masa(group_size=4), "0.368"),
        (LLAMA3_8B, masa(group_size=8), "0.291"),
        # Appendix B. The row is labelled A = 5, which gives 0.7669.
        (LLAMA32_3B, masa(experts=6), "0.8810"),
        (LLAMA32_3B, masa(experts=5), "0.7669"),
        # Without the router of the tables.
        (LLAMA3_8B, MasaSpec(), "0.4452"),
    ],
)
def test_published_percentages(shape, spec, percent):
    digits = len(percent.split(".")[1])
    assert f"{published(shape, spec):.{digits}f}" == percent


def test_a_last_group_may_be_shorter():
    whole, cut = MasaSpec(group_size=2), MasaSpec(group_size=3)
    inputs = 8 * 5 * (6 * 32 + 48)
    # Four layers: groups of 2 and 2, or of 3 and 1.
    assert whole.count(TINY) == cut.count(TINY)
    assert MasaSpec(group_size=4).count(TINY) == whole.count(TINY) - inputs


@pytest.mark.parametrize("of", [MasaSpec, MasaControlSpec])
def test_without_sharing_the_size_of_groups_does_nothing(of):
    assert of(sharing="none").idle_fields == {"group_size"}
    assert of(sharing="b").idle_fields == frozenset()
