"""The autoencoder's algebra, its gradients, and its files against SAELens's formula."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from tinysql.interp.sae import (
    Latents,
    TopKSAE,
    auxk_loss,
    load_sae,
    save_sae,
    top_latents,
    weighted_directions,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture
def sae(generator):
    sae = TopKSAE(8, 24, 4, generator)
    with torch.no_grad():
        for bias in (sae.b_enc, sae.b_dec):
            bias.copy_(torch.randn(bias.shape, generator=generator))
    return sae


@pytest.fixture
def x(generator):
    return torch.randn(10, 8, generator=generator) * 3


def dense(latents, d_sae):
    shape = (len(latents.values), d_sae)
    empty = torch.zeros(shape, dtype=latents.values.dtype)
    return empty.scatter(1, latents.indices, latents.values)


def test_pre_activations_follow_the_definition(sae, x):
    expected = (x - sae.b_dec) @ sae.W_enc + sae.b_enc
    assert torch.allclose(sae.pre_activations(x), expected, atol=1e-5)


def test_initial_encoder_is_the_transposed_unit_decoder(generator):
    sae = TopKSAE(8, 24, 4, generator)
    assert torch.equal(sae.W_enc, sae.W_dec.T)
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(24))


def test_all_latents_active_is_a_relu_autoencoder(sae, x):
    sae.k = 24
    expected = sae.pre_activations(x).relu() @ sae.W_dec + sae.b_dec
    assert torch.allclose(sae(x), expected, atol=1e-5)


def test_top_latents_keeps_the_largest_and_no_negative(generator):
    pre = torch.randn(50, 24, generator=generator) - 1.5
    found = dense(top_latents(pre, 4), 24)
    threshold = pre.sort(dim=1, descending=True).values[:, 3:4]
    assert torch.equal(found, torch.where(pre >= threshold, pre, 0.0).relu())


def test_sparse_decode_equals_dense_with_gradients(generator):
    indices = torch.stack([torch.randperm(12, generator=generator)[:3] for _ in range(5)])
    values = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    directions = torch.randn(12, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    results = []
    for output in (
        weighted_directions(Latents(values, indices), directions),
        dense(Latents(values, indices), 12) @ directions,
    ):
        gradients = torch.autograd.grad((output * upstream).sum(), (values, directions))
        results.append((output, *gradients))
    for sparse, full in zip(*results, strict=True):
        assert torch.allclose(sparse, full, atol=1e-12)
    assert torch.autograd.gradcheck(
        lambda v, w: weighted_directions(Latents(v, indices), w), (values, directions)
    )


def test_training_gradients_equal_the_dense_formula(sae, x):
    sparse_loss = (x - sae(x)).square().sum()
    sparse = torch.autograd.grad(sparse_loss, list(sae.parameters()))
    pre = (x - sae.b_dec) @ sae.W_enc + sae.b_enc
    active = dense(top_latents(pre, 4), 24)
    dense_loss = (x - active @ sae.W_dec - sae.b_dec).square().sum()
    full = torch.autograd.grad(dense_loss, list(sae.parameters()))
    for a, b in zip(sparse, full, strict=True):
        assert torch.allclose(a, b, atol=1e-3)


@pytest.fixture
def dead():
    return torch.arange(24) % 4 == 0


def test_auxk_reaches_the_dead_latents_only(sae, x, dead):
    pre = sae.pre_activations(x)
    error = x - sae.decode(top_latents(pre, 4))
    loss = auxk_loss(sae, pre, error, dead, k_aux=4)
    w_enc, w_dec, b_enc = torch.autograd.grad(loss, (sae.W_enc, sae.W_dec, sae.b_enc))
    assert w_enc[:, ~dead].abs().max() == w_dec[~dead].abs().max() == b_enc[~dead].abs().max() == 0
    assert (w_enc[:, dead].abs().sum(dim=0) > 0).all()
    assert (w_dec[dead].abs().sum(dim=1) > 0).all()


def test_auxk_equals_the_dense_formula(sae, x, dead):
    pre, error = sae.pre_activations(x), torch.randn_like(x)
    masked = torch.where(dead, pre, -torch.inf)
    predicted = dense(top_latents(masked, 4), 24) @ sae.W_dec
    expected = (error - predicted).square().sum() / (error - error.mean(0)).square().sum()
    assert torch.allclose(auxk_loss(sae, pre, error, dead, k_aux=4), expected)
    # Six latents are dead: asked for twelve, the loss counts half.
    every = dense(top_latents(masked, 6), 24) @ sae.W_dec
    expected = (error - every).square().sum() / (error - error.mean(0)).square().sum() / 2
    assert torch.allclose(auxk_loss(sae, pre, error, dead, k_aux=12), expected)


def test_auxk_without_dead_latents_is_zero(sae, x):
    none = torch.zeros(24, dtype=torch.bool)
    assert auxk_loss(sae, sae.pre_activations(x), x, none, k_aux=4).item() == 0


def test_auxk_of_a_perfect_reconstruction_is_finite(sae, x, dead):
    loss = auxk_loss(sae, sae.pre_activations(x), torch.zeros_like(x), dead, k_aux=4)
    assert torch.isfinite(loss)


def test_folding_the_scale_keeps_the_reconstruction_and_unit_norms(sae, x):
    expected = sae(x * 7.5) / 7.5
    sae.fold_scale(7.5)
    assert torch.allclose(sae(x), expected, atol=1e-5)
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(24))


def test_steps_move_the_decoder_along_the_sphere(sae, x):
    (x - sae(x)).square().sum().backward()
    sae.remove_radial_gradient()
    assert (sae.W_dec.grad * sae.W_dec).sum(dim=1).abs().max() < 1e-4
    with torch.no_grad():
        sae.W_dec.sub_(sae.W_dec.grad)
    sae.normalize_decoder()
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(24))


def test_saved_files_reconstruct_by_the_saelens_formula(tmp_path, sae, x):
    save_sae(sae, tmp_path, {"hook_name": "resid_post.1"})
    config = json.loads((tmp_path / "cfg.json").read_text())
    weights = load_file(tmp_path / "sae_weights.safetensors")
    assert config["architecture"] == "topk" and config["apply_b_dec_to_input"]
    assert config["normalize_activations"] == "none"
    assert weights["W_enc"].shape == (config["d_in"], config["d_sae"])
    hidden = (x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]
    best = hidden.topk(config["k"], dim=-1)
    active = torch.zeros_like(hidden).scatter(-1, best.indices, functional.relu(best.values))
    assert torch.allclose(active @ weights["W_dec"] + weights["b_dec"], sae(x), atol=1e-5)
    assert torch.equal(load_sae(tmp_path)(x), sae(x))
