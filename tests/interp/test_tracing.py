"""Traces against hooks written by hand on the same modules."""

import pytest
import torch

from tinysql.interp.sites import Site
from tinysql.interp.tracing import (
    Prompts,
    Resumption,
    read_sites,
    record,
    run_edited,
    trace_model,
)

LAYER = 1
SITES = [Site("resid_pre", LAYER), Site("z", LAYER, 2), Site("mlp_out", LAYER)]
SITES += [Site("resid_post", LAYER), Site("resid_post", 2), Site("z", 0)]


@pytest.fixture(scope="session")
def traced(model):
    return trace_model(model)


@pytest.fixture(scope="session")
def prompts():
    generator = torch.Generator().manual_seed(5)
    return Prompts.of(torch.randint(1, 101, (4, 11), generator=generator))


class Hooks:
    """The same reads and edits by plain PyTorch hooks."""

    def __init__(self, model, edits):
        self.seen = {}
        self.model, self.edits = model, edits

    def __enter__(self):
        self.handles = [self._register(site, edit) for site, edit in self.edits.items()]
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    def _register(self, site, edit):
        neo = self.model.config.model_type == "gpt_neo"
        block = (self.model.transformer.h if neo else self.model.model.layers)[site.layer]
        mixer = block.attn.attention.out_proj if neo else block.self_attn.o_proj
        d_head = mixer.in_features // 4

        def change(value):
            columns = slice(None)
            if site.head is not None:
                columns = slice(site.head * d_head, (site.head + 1) * d_head)
            self.seen[site] = value[..., columns].clone()
            value = value.clone()
            value[..., columns] = edit(value[..., columns])
            return value

        def before(_, args, kwargs):
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        def after(_, __, output):
            if isinstance(output, tuple):
                return (change(output[0]), *output[1:])
            return change(output)

        if site.kind in ("resid_pre", "z"):
            module = block if site.kind == "resid_pre" else mixer
            return module.register_forward_pre_hook(before, with_kwargs=True)
        module = block.mlp if site.kind == "mlp_out" else block
        return module.register_forward_hook(after)


def forward(model, prompts, **keywords):
    with torch.no_grad():
        return model(**prompts.arguments, use_cache=False, **keywords).logits


def test_read_sites_equals_hooks(model, traced, prompts):
    with Hooks(model, dict.fromkeys(SITES, lambda x: x)) as hooks:
        forward(model, prompts)
    for site, value in zip(SITES, read_sites(traced, prompts, SITES), strict=True):
        assert torch.equal(value, hooks.seen[site]), site


@pytest.mark.parametrize("site", SITES, ids=str)
def test_run_edited_equals_hooks_bit_for_bit(model, traced, prompts, site):
    rows = torch.arange(4)[:, None, None]

    def edit(x):  # a different intervention in every row
        return torch.where(rows % 2 == 0, x.flip(0) * (rows + 1), x)

    with Hooks(model, {site: edit}):
        expected = forward(model, prompts)
    assert torch.equal(run_edited(traced, prompts, [(site, edit)], last_only=False), expected)
    assert not torch.equal(expected, forward(model, prompts))


def test_run_edited_applies_several_edits_in_execution_order(model, traced, prompts):
    edits = {Site("z", 0, 1): lambda x: x * 2, Site("z", 0, 3): lambda x: -x,
             Site("resid_post", 2): lambda x: x + 1, Site("mlp_out", 1): lambda x: x * 0}
    with Hooks(model, edits):
        expected = forward(model, prompts)
    found = run_edited(traced, prompts, list(reversed(edits.items())), last_only=False)
    assert torch.equal(found, expected)


def test_head_edits_compose_to_the_whole_layer(traced, prompts):
    whole = run_edited(traced, prompts, [(Site("z", 1), lambda x: x * 3)])
    heads = [(Site("z", 1, head), lambda x: x * 3) for head in range(4)]
    assert torch.equal(run_edited(traced, prompts, heads), whole)


def test_left_padding_does_not_change_the_logits(traced, prompts):
    short = Prompts.of(prompts.input_ids[:1, :7])
    padded_ids = torch.cat([torch.zeros(1, 4, dtype=torch.long), short.input_ids], dim=1)
    padded = Prompts.of(padded_ids, torch.tensor([[0] * 4 + [1] * 7]))
    plain, shifted = (run_edited(traced, rows, []) for rows in (short, padded))
    assert torch.allclose(plain, shifted, atol=1e-4)
    sites = [Site("z", 2), Site("resid_pre", 2)]
    for a, b in zip(read_sites(traced, short, sites), read_sites(traced, padded, sites),
                    strict=True):
        assert torch.allclose(a, b[:, 4:], atol=1e-4)


def test_record_returns_the_activations_and_the_last_logits(model, traced, prompts):
    recording = record(traced, prompts, SITES)
    for a, b in zip(recording.activations, read_sites(traced, prompts, SITES), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    assert torch.allclose(recording.logits, forward(model, prompts)[:, -1], atol=1e-4)


@pytest.mark.parametrize("layer", [0, 2])
def test_resumption_equals_the_whole_pass(traced, prompts, layer):
    start, prompt = 4, Prompts.of(prompts.input_ids[:1])
    site = Site("resid_pre", layer)
    recording = record(traced, prompt, [site])
    resumption = Resumption(
        layer,
        recording.activations[0][:, start:],
        tuple((k[:, :, :start], v[:, :, :start]) for k, v in recording.keys_values),
    )
    scale = torch.tensor([1.0, 0.5, -2.0])[:, None, None]

    def late(x):
        return torch.cat([x[:, :-5], x[:, -5:] * scale], dim=1)

    edits = [(Site("z", 2, 1), late), (Site("mlp_out", 2), late)]
    rows = Prompts.of(prompt.input_ids.expand(3, -1))
    suffix = Prompts(rows.input_ids[:, start:], None, rows.position_ids[:, start:])
    whole = run_edited(traced, rows, edits)
    resumed = run_edited(traced, suffix, edits, resumption=resumption)
    assert torch.allclose(resumed, whole, atol=1e-4)
    assert not torch.allclose(resumed[0], resumed[1], atol=1e-2)


@pytest.mark.parametrize("site", SITES, ids=str)
def test_last_only_equals_the_last_position(traced, prompts, site):
    edits = [(site, lambda x: x.flip(0))]
    whole = run_edited(traced, prompts, edits, last_only=False)
    assert torch.allclose(run_edited(traced, prompts, edits)[:, 0], whole[:, -1], atol=1e-4)
