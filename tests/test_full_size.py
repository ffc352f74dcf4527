"""The forecasts of the papers' items at their own size."""

from benchmarks.full_size import GPUS, forecasts, page
from sweeper.report.papers import paper_files


def test_an_item_is_forecast_on_the_profiles_of_its_own_size_alone():
    (file,) = (file for file in paper_files() if file.name == "masa_table6")
    (row,) = forecasts((file,))
    assert (row["item"], row["profile"], row["workers"]) == ("MASA, Table 6", "masa-general", 2)
    costs = row["costs"]
    assert (costs["trials"], costs["replicas"], costs["source"]) == (25, GPUS // 2, "computed")
    # LLaMA3-8B in bf16 alone has 16 GB.
    assert 16e9 < costs["memory_bytes"]["low"] < costs["memory_bytes"]["high"] < 80e9
    assert costs["money"]["low"] < costs["money"]["value"] < costs["money"]["high"]
    hours = 25 * 2 * costs["trial_s"]["value"] / 3600
    assert f"| MASA, Table 6 | `masa-general` | 2 | 25 | {hours:,.0f} (" in page([row])
