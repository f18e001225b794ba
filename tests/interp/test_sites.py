"""Site names and the architectures they exist in."""

import pytest
from transformers import GPT2Config

from tinysql.errors import InputError
from tinysql.interp.sites import parse_site, site_map


@pytest.mark.parametrize("text", ["resid_pre.0", "z.2", "z.2.3", "mlp_out.1", "resid_post.2"])
def test_parse_site_round_trips(model, text):
    assert str(parse_site(text, site_map(model.config))) == text


@pytest.mark.parametrize(
    "text",
    ["resid_pre", "resid_pre.3", "z.0.4", "mlp_out.0.1", "resid_post.-1", "q.0.1", "z.a", ""],
)
def test_parse_site_refuses_what_the_model_lacks(model, text):
    with pytest.raises(InputError, match="^site: got"):
        parse_site(text, site_map(model.config))


def test_site_map_names_the_supported_architectures():
    with pytest.raises(InputError, match="gpt2.*gpt_neo, llama, qwen2, qwen3"):
        site_map(GPT2Config())
