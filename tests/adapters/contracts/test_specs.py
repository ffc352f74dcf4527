"""What every spec promises: a source, a size, and near names for wrong targets."""

import inspect
import re

import pytest
from peft import get_peft_model
from pydantic import ValidationError

from tests.adapters.passes import logits
from tests.adapters.specs import UNION, each, is_ours

# Enough for a group of layers that share, and a shorter one.
LAYERS = 3

CITATION = re.compile(r"arXiv:\d|\bEqs?\. \d|\bTable \d|[Ss]ection \d|[Aa]ppendix|paper")

each_of_the_union = pytest.mark.parametrize("spec", UNION, ids=lambda spec: spec.__name__)


@each_of_the_union
def test_it_says_where_it_comes_from(spec):
    assert spec.source.strip()
    assert CITATION.search(inspect.getdoc(spec) + spec.source)
    assert all(field.description for field in spec.model_fields.values())


@each()
def test_it_comes_back_from_its_fields(spec):
    assert type(spec).model_validate(spec.model_dump(mode="json")) == spec


def sizes(spec):
    """The example in each size that its fields allow."""
    for size in range(1, 25):
        try:
            yield size, type(spec).model_validate(spec.model_dump() | {spec.size_field: size})
        except ValidationError:
            # Some sizes must be even, or fit another field.
            continue


@each(lambda spec: getattr(spec, spec.size_field) is not None)
def test_it_grows_with_its_size(spec, shape):
    value = getattr(spec, spec.size_field)
    assert type(value) is int
    counts = [sized.count(shape) for _, sized in sizes(spec)]
    assert len(counts) > 2
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    assert min(counts) > 0


@each(lambda spec: spec.adapts_layers)
def test_a_target_that_matches_nothing_is_an_error_with_near_names(spec, llama, shape, ids):
    wrong = spec.model_copy(update={"targets": ("v_proj", "q_pro")})
    [message] = [message for field, message in wrong.problems(shape) if field == "targets"]
    assert re.search(r"'q_pro' matches no linear layer .* did you mean 'q_proj'\?", message)
    model = llama()
    before = logits(model, ids)
    with pytest.raises(ValueError, match=r"'q_pro' matches no .* did you mean 'q_proj'\?"):
        wrong.inject(model, seed=0)
    assert logits(model, ids).equal(before)
    assert not hasattr(model, "peft_config")


@each(is_ours)
@pytest.mark.parametrize("targets", [["q_pro", "downproj"], r".*\.q_pro"], ids=["list", "pattern"])
def test_peft_gives_near_names_for_targets_of_ours_that_match_nothing(spec, targets, llama):
    config = spec.peft_config()
    config.target_modules = targets
    message = r"not found in the base model\..*q_pro.* did you mean .*q_proj"
    with pytest.raises(ValueError, match=message):
        get_peft_model(llama(), config)
