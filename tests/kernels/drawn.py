"""What hypothesis draws."""

from hypothesis import strategies as st

from sweeper_kernels import Tessellation

STRATEGIES = ("brt", "row", "col", "skewed")


@st.composite
def tessellations(draw, *, strategies=STRATEGIES):
    out_features = draw(st.integers(1, 70))
    in_features = draw(st.integers(1, 70))
    return Tessellation(
        out_features,
        in_features,
        draw(st.integers(1, out_features * in_features)),
        strategy=draw(st.sampled_from(strategies)),
        seed=draw(st.integers(0, 2**63 - 1)),
        skew=draw(st.floats(0.05, 0.99)),
    )
