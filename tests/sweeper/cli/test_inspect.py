"""`python -m sweeper inspect` on trained trials: what it finds, prints and keeps, and refuses."""

import io
import json
import math
import shutil

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from typer.testing import CliRunner

import sweeper_adapters
from sweeper.analysis.inspection import (
    INSPECTIONS_FOLDER,
    KINDS,
    InspectionRequest,
    inspect_trial,
    read_inspections,
)
from sweeper.analysis.lookup import find_trial
from sweeper.cli import app
from sweeper.evaluation.adapter import hold_base_of, with_adapter
from sweeper.report.inspection import inspection_view
from sweeper.tracking.mlflow_view import MlflowView, run_ids
from sweeper.tracking.mlflow_view.store import connect
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper import inspected
from tests.sweeper.stores import empty_store


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Trained once: some seconds, nearly all of them the import of DeepSpeed."""
    return inspected.make_world(tmp_path_factory.mktemp("world"))


def call(home, method, kind, *arguments):
    words = [inspected.name_of(method), *([f"--{kind}"] if kind else []), "--home", home]
    return CliRunner().invoke(app, ["inspect", *map(str, words), *map(str, arguments)])


@pytest.fixture(scope="module")
def documents():
    return {}


def found(home, documents, method, kind):
    """The document of an inspection with the defaults, made once and without the command."""
    if (method, kind) not in documents:
        trial = find_trial(inspected.name_of(method), home=home)
        written = inspect_trial(trial, InspectionRequest(kind, draws=99))
        documents[method, kind] = read(home, method, kind)
        assert written.document() == documents[method, kind]
    return documents[method, kind]


def read(home, method, kind):
    folder = find_trial(inspected.name_of(method), home=home).trial.path / INSPECTIONS_FOLDER
    return json.loads((folder / f"{kind}.json").read_text())


def refused(home, method, kind, *arguments):
    before = sorted(home.rglob("*"))
    result = call(home, method, kind, *arguments)
    assert result.exit_code == 2, result.output
    assert sorted(home.rglob("*")) == before
    return " ".join(result.stderr.split())


@pytest.fixture(scope="module")
def layers(home):
    """The layers of MASA's trial as it was loaded, copied."""
    trial = find_trial(inspected.name_of("masa"), home=home)
    base = hold_base_of(trial.spec())
    with with_adapter(trial.spec(), base, trial.adapter()) as adapted:
        return {
            layer.name: (layer.delta().clone(), layer.downs())
            for layer in sweeper_adapters.adapted_layers(adapted.model)
        }


# Similarity.


@pytest.mark.parametrize("method", ["masa", "lora", "moelora", "dora"])
def test_similarity_compares_a_and_increments(home, documents, method):
    document = found(home, documents, method, "similarity")
    assert (document["rows"], document["blocks"], document["tokens"]) == (48, 3, 16)
    assert [mean["of"] for mean in document["by_module"]] == ["q_proj", "v_proj"]
    assert [mean["of"] for mean in document["by_layers"]] == ["0-1", "1-2", "2-3", "3-4"]
    overall = document["overall"]
    assert overall["pairs"] == 8
    difference = overall["a"]["value"] - overall["increment"]["value"]
    assert overall["difference"]["value"] == pytest.approx(difference)
    for mean in (*document["by_module"], overall):
        assert all(-0.5 < mean[part]["value"] < 1.5 for part in ("input", "a", "increment"))
        assert mean["difference"]["se"] > 0
    [sentence] = document["statements"]
    assert "3 blocks of 16 rows" in sentence
    assert "this adapter alone" in sentence


def test_similarity_knows_which_layers_share_a(home, documents):
    pairs = found(home, documents, "masa", "similarity")["pairs"]
    shared = {(pair["first"], pair["second"]) for pair in pairs if pair["shares_a"]}
    assert shared == {(0, 1), (2, 3)}
    own = found(home, documents, "lora", "similarity")["pairs"]
    assert not any(pair["shares_a"] for pair in own)


def test_similarity_of_a_method_without_a_compares_increments(home, documents):
    document = found(home, documents, "mosa", "similarity")
    assert document["overall"]["a"] is None
    assert document["overall"]["increment"]["value"] is not None
    assert document["notes"] == ["mosa has no matrix A: only inputs and increments are compared."]
    assert not document["statements"]


def test_similarity_of_chosen_layers_is_of_those(home):
    options = ("--layers", "0,2-3", "--modules", "q_proj", "--tokens", "2", "--rows", "32")
    assert call(home, "lora", "similarity", *options).exit_code == 0
    document = read(home, "lora", "similarity")
    assert [mean["of"] for mean in document["by_layers"]] == ["0-2", "2-3"]
    assert document["modules"] == ["q_proj"]
    assert (document["rows"], document["tokens"]) == (32, 2)
    # Layers 0 and 2 are not adjacent in the model, and the statement is of them, too.
    [sentence] = document["statements"]
    assert "layers next to each other in this choice" in sentence.lower()
    assert "djacent" not in sentence


# Projection.


def test_projection_scores_each_expert_beside_its_input(home, documents):
    document = found(home, documents, "masa", "projection")
    assert (document["layers"], document["modules"]) == ([2], ["v_proj"])
    assert document["tasks"] == {"letter": 16, "sum": 32}
    assert [x["features"] for x in document["scores"]] == ["input", "random", "A1", "A2", "A3"]
    assert [x["dimensions"] for x in document["scores"]] == [32, 4, 4, 4, 4]
    # Sums and letters are written with other characters.
    given = document["scores"][0]
    assert given["probe_p"] == pytest.approx(0.01)
    assert given["probe"]["value"] > 0.9 > given["probe_null"]
    for score in document["scores"]:
        assert 0 <= score["probe"]["value"] <= 1
        assert 0.01 <= max(score["silhouette_p"], score["probe_p"]) <= 1
        assert (score["p_holm"] is None) == (score["features"] in {"input", "random"})
    assert len(document["points"]) == 5 * 48
    assert {point["task"] for point in document["points"]} == {"letter", "sum"}
    assert "proves nothing" in " ".join(document["statements"])


def test_projection_is_of_the_layers_that_are_named(home):
    result = call(home, "lora", "projection", "--layers", 0, "--modules", "q_proj", "--draws", 99)
    assert result.exit_code == 0, result.output
    document = read(home, "lora", "projection")
    names = {(x["layer"], x["module"], x["features"]) for x in document["scores"]}
    assert names == {(0, "q_proj", name) for name in ("input", "random", "A")}


# Spectra.


def test_spectra_are_those_of_the_loaded_layers(home, documents, layers):
    document = found(home, documents, "masa", "spectra")
    assert len(document["spectra"]) == len(layers) == 10
    for own, (delta, _) in zip(document["spectra"], layers.values(), strict=True):
        expected = torch.linalg.svdvals(delta.double())
        assert own["values"] == pytest.approx(expected[:4].tolist(), rel=1e-3, abs=1e-7)
        assert own["rank_above"] == int((expected > 0.01).sum())
        assert own["numerical_rank"] <= 4
        assert own["shape"] == list(delta.shape)


def test_spectra_of_mosa_have_more_dimensions_than_a_lora(home, documents):
    ranks = {
        method: min(
            x["numerical_rank"] for x in found(home, documents, method, "spectra")["spectra"]
        )
        for method in ("mosa", "lora")
    }
    assert ranks["lora"] <= 4
    assert ranks["mosa"] > 12


def test_spectra_count_above_the_threshold(home, documents):
    assert call(home, "lora", "spectra", "--threshold", "1e9").exit_code == 0
    assert {x["rank_above"] for x in read(home, "lora", "spectra")["spectra"]} == {0}


# Diversity.


def test_diversity_compares_the_experts_of_each_group(home, documents, layers):
    document = found(home, documents, "masa", "diversity")
    groups = {(x["module"], tuple(x["layers"])): x for x in document["groups"]}
    assert groups.keys() == {
        (module, own) for module in ("q_proj", "v_proj") for own in ((0, 1), (2, 3), (4,))
    }
    group = groups["q_proj", (2, 3)]
    assert (group["experts"], group["ranks"], group["columns"]) == (["A1", "A2", "A3"], [4] * 3, 32)
    assert len(group["pairs"]) == 3
    downs = [
        torch.linalg.qr(down.double().T).Q
        for down in layers["model.layers.2.self_attn.q_proj"][1].values()
    ]
    shared = [
        float((downs[i].T @ downs[j]).square().sum() / 4) for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert [pair["shared"] for pair in group["pairs"]] == pytest.approx(shared)
    assert group["random"] == pytest.approx(4 / 32, abs=0.02)
    assert group["random_low"] < group["random"] < group["random_high"]


@pytest.mark.parametrize(
    ("method", "why"), [("lora", "one matrix A in each layer"), ("mosa", "no matrix A")]
)
def test_diversity_of_one_a_is_refused(home, method, why):
    assert f"diversity: {method} has {why}" in refused(home, method, "diversity")


# Conflict.


def test_conflict_compares_gradients_of_tasks(home, documents):
    document = found(home, documents, "masa", "conflict")
    assert (document["split"], document["batches"]) == ("train", 8)
    assert [(x["task"], x["rows"]) for x in document["tasks"]] == [("letter", 24), ("sum", 24)]
    [pair] = document["pairs"]
    assert (pair["first"], pair["second"]) == ("letter", "sum")
    if pair["cosine"]["value"] is not None:
        assert pair["cosine"]["se"] > 0
        assert 0 <= pair["p_holm"] <= 1


def test_conflict_is_of_the_trained_parameters(home, documents):
    adapter = find_trial(inspected.name_of("masa"), home=home).adapter()
    saved = load_file(adapter / "adapter_model.safetensors")
    document = found(home, documents, "masa", "conflict")
    assert document["parameters"] == sum(value.numel() for value in saved.values()) > 0
    assert document["method"] == "masa"


def test_conflict_needs_no_layers(home, documents):
    document = found(home, documents, "prompt_tuning", "conflict")
    assert document["parameters"] == 4 * 32
    assert document["layers"] == []


def test_conflict_of_what_is_saved_in_another_form_is_refused(home):
    message = refused(home, "pissa", "conflict")
    assert "the file of a pissa adapter holds what its trained parameters come to" in message


# What is refused, and changes nothing.


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "conflict"])
def test_learnt_prompts_have_no_layers(home, kind):
    message = refused(home, "prompt_tuning", kind)
    assert f"{kind}: prompt_tuning: adapter 'default' adapts no linear layer" in message
    assert "--conflict works for it" in message


def test_an_update_that_depends_on_the_input_has_no_spectrum(home):
    message = refused(home, "moelora", "spectra")
    assert "moelora has no ΔW of model.layers.0.self_attn.q_proj" in message
    assert "a router, whose weights depend on the input" in message


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (None, [], "inspect: got none"),
        ("spectra", ["--conflict"], "inspect: got --spectra and --conflict"),
        ("spectra", ["--layers", "3-1"], "layers: got '3-1'"),
        ("spectra", ["--layers", "7"], "layers: got 7; the adapter is in layers 0, 1, 2, 3, 4"),
        (
            "spectra",
            ["--modules", "k_proj"],
            "modules: got k_proj; the adapter is in q_proj, v_proj",
        ),
        ("spectra", ["--threshold", "nan"], "threshold: got nan"),
        ("spectra", ["--device", "tpu"], "device: got 'tpu'; this machine has cpu"),
        ("similarity", ["--rows", "20"], "rows: the validation split gives 20 (--rows 20)"),
        ("similarity", ["--split", "test"], "rows: the test split gives 6"),
        ("similarity", ["--layers", "1"], "it compares adjacent layers"),
        ("projection", ["--split", "test"], "rows: the test split gives 6"),
        ("conflict", ["--rows", "18", "--split", "test"], "rows: the test split gives 6"),
    ],
)
def test_what_makes_no_sense_is_refused(home, kind, arguments, message):
    assert message in refused(home, "lora", kind, *arguments)


# What is shown.


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("kind", KINDS)
def test_the_view_fits_the_terminal(home, documents, kind, width):
    found(home, documents, "masa", kind)
    folder = find_trial(inspected.name_of("masa"), home=home).trial
    written = next(x for x in read_inspections(folder) if x.kind == kind)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(inspection_view(written), crop=False)
    lines = console.export_text().splitlines()
    assert f"{kind.capitalize()} of trial 000000000000 (masa) of sweep trained" in lines[0]
    assert all(len(line) <= width for line in lines if written.path not in line)
    text = " ".join(" ".join(lines).split())
    assert all(" ".join(sentence.split()) in text for sentence in written.statements)


def test_each_command_prints_and_the_report_page_has_what_was_found(home):
    shutil.copy(empty_store(), home / "mlflow.db")
    view = MlflowView(SweepFolder.open(inspected.NAME, home=home))
    assert view.sync().is_complete
    for kind in KINDS:
        result = call(home, "masa", kind, "--draws", 99)
        assert result.exit_code == 0, result.output
        assert f"{kind.capitalize()} of trial 000000000000 (masa)" in result.output
    sweep = SweepFolder.open(inspected.NAME, home=home)
    assert f"Report page: {sweep.path / 'report.html'}" in result.output
    page = (sweep.path / "report.html").read_text()
    for kind in KINDS:
        assert f"<h3>{kind.capitalize()} of trial 0 (masa)</h3>" in page
    figures = {path.name for path in (sweep.path / "figures").glob("trial-0-*.svg")}
    assert figures == {
        "trial-0-similarity.svg",
        "trial-0-similarity-a.svg",
        "trial-0-similarity-increment.svg",
        "trial-0-projection-2-v_proj.svg",
        "trial-0-projection-2-v_proj-t-sne.svg",
        "trial-0-spectra.svg",
        "trial-0-diversity.svg",
        "trial-0-conflict.svg",
    }
    (run_id,) = run_ids(sweep.path)
    kept = {x.path for x in connect(view.tracking_uri).list_artifacts(run_id, "figures")}
    assert {f"figures/{name}" for name in figures} <= kept


def test_mlflow_is_left_alone_where_it_knows_nothing_of_the_sweep(tmp_path_factory, home):
    copy = tmp_path_factory.mktemp("copy") / "sweeps"
    shutil.copytree(home / inspected.NAME, copy / inspected.NAME)
    for path in (copy / inspected.NAME).rglob("mlflow.json"):
        path.unlink()
    assert call(copy, "lora", "spectra").exit_code == 0
    assert (copy / inspected.NAME / "report.html").is_file()
    assert not (copy / "mlflow.db").exists()


def test_a_damaged_file_is_left_out_of_the_page(home, documents, caplog):
    found(home, documents, "lora", "spectra")
    folder = find_trial(inspected.name_of("lora"), home=home).trial
    path = folder.path / INSPECTIONS_FOLDER / "spectra.json"
    before = path.read_text()
    path.write_text(before[: len(before) // 2])
    assert all(each.kind != "spectra" for each in read_inspections(folder))
    assert f"{path} is left out" in caplog.text
    path.write_text(before)


def test_the_same_seed_finds_the_same(home, documents):
    first = found(home, documents, "masa", "similarity")
    trial = find_trial(inspected.name_of("masa"), home=home)
    again, other = (
        inspect_trial(trial, InspectionRequest("similarity", draws=99, seed=seed)).document()
        for seed in (0, 1)
    )
    differ = {key for key in first if first[key] != again[key]}
    assert differ <= {"wall_time_s", "ended_at"}
    assert not math.isclose(other["overall"]["a"]["value"], first["overall"]["a"]["value"])
