"""What the terminal says of a forecast."""

from sweeper.report.terminal.forecast.costs import batch_text, costs_lines, costs_text


def figure(value):
    return {"value": value, "low": value / 2, "high": 2 * value}


COSTS = {
    "seconds": figure(7200),
    "trial_s": figure(60),
    "step_s": figure(0.5),
    "memory_bytes": figure(2e9),
    "disk_bytes": 3e6,
    "money": figure(5),
    "trials": 8,
    "replicas": 2,
    "kept_share": 0.75,
    "finalists": 0,
    "source": "computed",
    "rates": "those of an H100",
}


def test_every_figure_has_its_range_and_says_what_it_rests_on():
    assert costs_text(COSTS).splitlines() == [
        "Time: 2 h 00 min (1 h 00 min to 4 h 00 min) for 8 trials on 2 replicas; a step 0.5 s "
        "(0.2 s to 1.0 s), a trial 1 min 00 s",
        "ASHA: saves 25 % of the steps as designed, in a short search less; the high end is "
        "without",
        "Memory of a worker: 2 GB (1 GB to 4 GB)",
        "Disk: 3 MB",
        "Cost: 5.00 (2.50 to 10.00)",
        "Forecast: computed from operations and rates, not measured",
        "Rates: those of an H100",
    ]


def test_without_a_price_and_without_asha_there_is_less_to_say():
    plain = {**COSTS, "money": None, "kept_share": 1, "source": "calibrated", "rates": ""}
    said = costs_text(plain)
    assert "Cost" not in said
    assert "ASHA" not in said
    assert said.endswith("by a few real steps of each method on this machine")


def test_what_is_not_known_says_so():
    (line,) = costs_lines(None)
    assert "set resources.gpu_type" in str(line)


def test_the_micro_batch_that_was_chosen():
    document = {"train": {"batch_size": 4}, "engine": {"gradient_accumulation": 3}}
    assert batch_text(document) == "Micro-batch: 4 by memory; in a step there are 3."


def test_a_step_of_a_small_model_is_told_in_milliseconds():
    assert "a step 20 ms (10 ms to 40 ms)" in costs_text({**COSTS, "step_s": figure(0.02)})


def test_a_share_says_where_trials_stop_and_how_many_go_on():
    said = costs_text({**COSTS, "kept_share": 0.25, "finalists": 3})
    assert "Stops: each at 25 % of its steps; the best 3 then go on to their end" in said
    assert "ASHA" not in said
