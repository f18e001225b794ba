"""The activation stream, the metrics at their known extremes, and training end to end."""

import itertools
import json

import pyarrow.parquet as pq
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tinysql.errors import InputError
from tinysql.interp.activations import load_texts, shuffled, site_activations, text_batches
from tinysql.interp.config import SAEConfig
from tinysql.interp.sae import TopKSAE, load_sae
from tinysql.interp.sae_eval import evaluate_sae
from tinysql.interp.sae_train import calibrate, train_sae
from tinysql.interp.sites import Site
from tinysql.interp.tracing import Prompts, load_traced, read_sites

SITE = Site("resid_post", 0)
SMALL = SAEConfig(
    k=8, expansion=4, tokens=20_000, batch_tokens=256, buffer_tokens=2048, eval_tokens=2000,
    dead_tokens=3000,
)


@pytest.fixture(scope="module")
def traced(model_dir):
    return load_traced(model_dir)


@pytest.fixture(scope="module")
def texts(dataset):
    return load_texts(dataset, "validation")


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return PreTrainedTokenizerFast.from_pretrained(model_dir)


def ordered_batches(texts, tokenizer, skip_positions=1):
    return text_batches(
        texts, tokenizer, skip_positions=skip_positions, device=torch.device("cpu"),
        generator=None,
    )


def test_stream_holds_every_token_but_pads_and_first_ones(traced, texts, tokenizer):
    batches = ordered_batches(texts, tokenizer, skip_positions=2)
    found = torch.cat(list(site_activations(traced, SITE, batches)))
    rows = tokenizer(texts, add_special_tokens=False)["input_ids"]
    alone = [
        read_sites(traced, Prompts.of(torch.tensor([row])), [SITE])[0][0, 2:] for row in rows
    ]
    expected = torch.cat(alone)
    assert found.shape == expected.shape
    assert torch.allclose(found.sum(dim=0), expected.sum(dim=0), rtol=1e-3, atol=0.1)
    assert torch.allclose(
        found.norm(dim=1).sort().values, expected.norm(dim=1).sort().values, atol=1e-2
    )


def test_shuffled_yields_each_token_once_in_another_order():
    chunks = (torch.arange(i * 30, i * 30 + 30)[:, None] for i in range(40))
    batches = list(
        shuffled(
            chunks, batch_tokens=50, buffer_tokens=300, generator=torch.Generator().manual_seed(0)
        )
    )
    assert {tuple(batch.shape) for batch in batches} == {(50, 1)}
    tokens = torch.cat(batches).flatten().tolist()
    assert len(tokens) == len(set(tokens)) > 800
    assert tokens[:50] != sorted(tokens[:50])


def test_endless_batches_follow_the_generator(texts, tokenizer):
    def first(seed):
        batches = text_batches(
            texts, tokenizer, skip_positions=1, device=torch.device("cpu"),
            generator=torch.Generator().manual_seed(seed),
        )
        return [batch.prompts.input_ids for batch in itertools.islice(batches, 5)]

    same = zip(first(1), first(1), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert any(a.shape != b.shape or not torch.equal(a, b)
               for a, b in zip(first(1), first(2), strict=True))


def constant_sae(value: torch.Tensor) -> TopKSAE:
    sae = TopKSAE(len(value), len(value), 1, torch.Generator()).requires_grad_(False)
    sae.W_enc.zero_()
    sae.W_dec.zero_()
    sae.b_dec.copy_(value)
    return sae


def identity_sae(d_in: int) -> TopKSAE:
    sae = TopKSAE(d_in, 2 * d_in, 2 * d_in, torch.Generator()).requires_grad_(False)
    sae.W_dec.copy_(torch.cat([torch.eye(d_in), -torch.eye(d_in)]))
    sae.W_enc.copy_(sae.W_dec.T)
    return sae


def test_metrics_at_their_known_extremes(traced, texts, tokenizer):
    def evaluate(sae):
        return evaluate_sae(sae, traced, SITE, ordered_batches(texts, tokenizer), 10**9)

    tokens = torch.cat(list(site_activations(traced, SITE, ordered_batches(texts, tokenizer))))
    perfect = evaluate(identity_sae(32))
    assert perfect["fvu"] == pytest.approx(0, abs=1e-9)
    assert perfect["ce_recovered"] == pytest.approx(1, abs=1e-4)
    assert perfect["l0"] == pytest.approx(32, abs=0.01)
    assert perfect["eval_tokens"] == len(tokens)
    mean = evaluate(constant_sae(tokens.double().mean(dim=0).float()))
    assert mean["fvu"] == pytest.approx(1, abs=1e-6)
    assert (mean["l0"], mean["dead_fraction"]) == (0, 1)
    assert evaluate(constant_sae(torch.zeros(32)))["ce_recovered"] == pytest.approx(0, abs=1e-6)


def test_training_recovers_a_dictionary_of_single_directions():
    generator = torch.Generator().manual_seed(1)
    truth = torch.linalg.qr(torch.randn(16, 16, generator=generator)).Q
    config = SAEConfig(
        k=1, expansion=2, tokens=200_000, batch_tokens=500, lr=5e-3, dead_tokens=2000
    )

    def samples():
        while True:
            which = torch.randint(16, (500,), generator=generator)
            yield truth[which] * (0.5 + torch.rand(500, 1, generator=generator)) * 40

    trainer, stream = calibrate(config, samples(), generator)
    log = [row for row in trainer.run(stream) if row is not None]
    sae = trainer.finish()
    cosines = (truth @ sae.W_dec.T).max(dim=1).values
    assert cosines.mean() > 0.95
    assert log[-1]["fvu"] < 0.05 < log[0]["fvu"]
    raw = next(samples())
    assert (raw - sae(raw)).square().sum() / raw.square().sum() < 0.05


def test_train_sae_writes_a_working_sae(tmp_path, model_dir, dataset, traced, texts, tokenizer):
    metrics = train_sae(
        tmp_path, model=model_dir, dataset=dataset, config=SMALL, site="resid_post.0"
    )
    folder = tmp_path / "resid_post.0"
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert metrics["fvu"] < 0.6 and metrics["l0"] <= 8
    assert 0 <= metrics["dead_fraction"] < 0.9
    log = pq.read_table(folder / "log.parquet").to_pylist()
    assert log[-1]["step"] == 79 and log[-1]["fvu"] < log[0]["fvu"]
    again = evaluate_sae(
        load_sae(folder).requires_grad_(False), traced, SITE, ordered_batches(texts, tokenizer),
        SMALL.eval_tokens,
    )
    assert again == {name: metrics[name] for name in again}


@pytest.mark.parametrize("site, width", [("z.1", 32), ("z.1.2", 8), ("mlp_out.0", 32)])
def test_train_sae_at_other_sites_is_deterministic(tmp_path, model_dir, dataset, site, width):
    config = SMALL.model_copy(update={"tokens": 2000})
    saved = []
    for name in "ab":
        metrics = train_sae(
            tmp_path / name, model=model_dir, dataset=dataset, config=config, site=site
        )
        assert (metrics["d_in"], metrics["d_sae"]) == (width, 4 * width)
        saved.append((tmp_path / name / site / "sae_weights.safetensors").read_bytes())
    assert saved[0] == saved[1]


def test_too_many_active_latents_is_an_input_error(tmp_path, model_dir, dataset):
    config = SAEConfig(k=200, expansion=4)
    with pytest.raises(InputError, match="k: got 200, expected at most d_sae = 128"):
        train_sae(tmp_path, model=model_dir, dataset=dataset, config=config, site="mlp_out.0")
