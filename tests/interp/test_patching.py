"""Patching against one naive forward pass with hooks per measurement, and its invariants."""

import json

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM

from tinysql.errors import InputError
from tinysql.interp.config import PairsConfig
from tinysql.interp.pairs import generate_pairs
from tinysql.interp.patching import (
    PairResult,
    PatchingConfig,
    baselines,
    effects,
    patch_layer,
    patch_pair,
)
from tinysql.interp.sites import Site
from tinysql.interp.tracing import Prompts, load_traced, read_sites, run_edited

KINDS = ("resid_pre", "z", "mlp_out")
FEATURES = ("EngTableName", "EngFieldName", "DefFieldName", "OrderByDirection")
SMALL = PairsConfig(features=FEATURES, pairs_per_feature=3)


@pytest.fixture(scope="module")
def pairs_dir(tmp_path_factory, model_dir, dataset):
    out = tmp_path_factory.mktemp("pairs")
    generate_pairs(out, model=model_dir, dataset=dataset, config=SMALL)
    return out


@pytest.fixture(scope="module")
def pairs(pairs_dir):
    return pq.read_table(pairs_dir / "pairs.parquet").to_pylist()


@pytest.fixture(scope="module")
def traced(model_dir):
    return load_traced(model_dir)


def modules(model, layer):
    neo = model.config.model_type == "gpt_neo"
    block = (model.transformer.h if neo else model.model.layers)[layer]
    mixer = block.attn.attention.out_proj if neo else block.self_attn.o_proj
    return {"resid_pre": block, "z": mixer, "mlp_out": block.mlp}


def naive_logit_diff(model, pair, layer, kind, columns, positions):
    """One corrupted run with clean values at some positions and columns, by plain hooks."""
    kept = []
    module = modules(model, layer)[kind]

    def keep(*arguments):
        kept.append(value_of(arguments))

    def value_of(arguments):
        if kind == "mlp_out":
            return arguments[2]
        return arguments[1][0] if arguments[1] else arguments[2]["hidden_states"]

    def patch(*arguments):
        value = value_of(arguments).clone()
        for position in positions:
            value[0, position, columns] = kept[0][0, position, columns]
        if kind == "mlp_out":
            return value
        return (value, *arguments[1][1:]), arguments[2]

    def run(hook, ids):
        register = (
            module.register_forward_hook(hook)
            if kind == "mlp_out"
            else module.register_forward_pre_hook(hook, with_kwargs=True)
        )
        with torch.no_grad():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        register.remove()
        return (logits[pair["clean_answer_id"]] - logits[pair["corrupted_answer_id"]]).item()

    clean = run(lambda *a: keep(*a), pair["clean_ids"])
    return clean, run(patch, pair["corrupted_ids"])


@pytest.mark.parametrize("layer", [0, 1])
def test_patch_pair_equals_one_naive_run_per_measurement(model_dir, traced, pairs, layer):
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    d_head = traced.sites.d_head
    moved = 0
    for pair in pairs[::3]:
        result = patch_pair(traced, pair, layer, KINDS, batch_rows=5)
        roles = pair["roles"]
        for (kind, head, role), found in result.patched.items():
            columns = slice(None) if head is None else slice(head * d_head, (head + 1) * d_head)
            positions = [i for i, r in enumerate(roles) if r == role]
            clean, expected = naive_logit_diff(model, pair, layer, kind, columns, positions)
            assert result.clean == pytest.approx(clean, abs=2e-3)
            assert found == pytest.approx(expected, abs=2e-3), (kind, head, role)
            moved += abs(expected - result.corrupted) > 0.05
        assert set(result.patched) == {
            (kind, head, role)
            for kind in KINDS
            for head in (range(4) if kind == "z" else [None])
            for role in set(roles)
        }
    assert moved >= 3


def test_batch_size_does_not_change_the_result(traced, pairs):
    one, many = (patch_pair(traced, pairs[4], 0, KINDS, batch_rows=n) for n in (1, 1000))
    assert one.patched.keys() == many.patched.keys()
    for key, value in one.patched.items():
        assert many.patched[key] == pytest.approx(value, abs=2e-3)


def test_clean_residual_at_every_position_restores_the_clean_logits(traced, pairs):
    clean, corrupted = (
        Prompts.of(torch.tensor([pairs[0][f"{side}_ids"]])) for side in ("clean", "corrupted")
    )
    wanted = run_edited(traced, clean, [], last_only=False)
    unpatched = run_edited(traced, corrupted, [], last_only=False)
    assert not torch.allclose(unpatched[:, -1], wanted[:, -1], atol=0.1)
    for site in (Site("resid_pre", 0), Site("resid_pre", 1), Site("resid_post", 1)):
        value = read_sites(traced, clean, [site])[0]
        edits = [(site, lambda x, value=value: value + 0 * x)]
        found = run_edited(traced, corrupted, edits, last_only=False)
        assert torch.equal(found, wanted)


def test_patching_clean_into_clean_changes_nothing(traced, pairs):
    same = pairs[0] | {"corrupted_ids": pairs[0]["clean_ids"]}
    result = patch_pair(traced, same, 1, KINDS, batch_rows=8)
    assert set(result.patched.values()) == {result.corrupted}
    assert result.clean == result.corrupted
    assert all(row["effect"] is None for row in effects([result], 1, 0.1))


def test_the_changed_role_carries_everything_at_the_input(traced, pairs):
    for pair in pairs:
        result = patch_pair(traced, pair, 0, ("resid_pre",), batch_rows=8)
        changed = {pair["roles"][i] for i in pair["changed_positions"]}
        for (_, _, role), value in result.patched.items():
            expected = result.clean if role in changed else result.corrupted
            assert value == pytest.approx(expected, abs=2e-3)


def test_patch_layer_writes_its_layer_and_the_baseline_once(tmp_path, model_dir, pairs_dir):
    config = PatchingConfig()
    for layer in (0, 1):
        (tmp_path / str(layer)).mkdir()
        metrics = patch_layer(
            tmp_path / str(layer), model=model_dir, pairs=pairs_dir, config=config, layer=layer
        )
        rows = pq.read_table(tmp_path / str(layer) / f"layer-{layer:02d}.parquet").to_pylist()
        assert {row["layer"] for row in rows} == {layer}
        assert {(row["site"], row["head"]) for row in rows} == {
            ("resid_pre", None), ("mlp_out", None), *(("z", head) for head in range(4))
        }
        assert set(metrics["features"]) == {row["feature"] for row in rows} == set(FEATURES)
        assert all(1 <= row["n"] <= 3 for row in rows)
    assert json.loads((tmp_path / "0" / "summary.json").read_text())["features"].keys() == set(
        FEATURES
    )
    assert not (tmp_path / "1" / "summary.json").exists()


def test_unknown_layer_is_an_input_error(tmp_path, model_dir, pairs_dir):
    with pytest.raises(InputError, match="layer: got 2, expected below 2"):
        patch_layer(
            tmp_path, model=model_dir, pairs=pairs_dir, config=PatchingConfig(), layer=2
        )


def test_effect_is_a_ratio_of_means():
    results = [
        PairResult("F", 3.0, -1.0, {("z", 0, "last"): 1.0}),
        PairResult("F", 1.0, 0.96, {("z", 0, "last"): -1.0}),
    ]
    (row,) = effects(results, 0, near_zero=0.1)
    assert row["effect"] == pytest.approx((0.0 - -0.02) / (2.0 - -0.02))
    assert (row["n"], row["near_zero"]) == (2, 1)
    baseline = baselines(results, 0.1)["F"]
    assert (baseline["accuracy"], baseline["near_zero"], baseline["clean"]) == (0.5, 1, 2.0)
