"""Named places inside a transformer, and where each architecture keeps them.

A site is written resid_pre.L, z.L, z.L.H, mlp_out.L or resid_post.L: the residual stream before
and after layer L, the attention heads' outputs before they are mixed, and the MLP's output. Heads
are slices of the INPUT of the output projection; a slice of its output mixes all heads.

Facts per architecture were read from the modules of transformers 5 (gpt_neo, llama, qwen2,
qwen3).
"""

from dataclasses import dataclass

from transformers import PretrainedConfig

from tinysql.errors import InputError

KINDS = ("resid_pre", "z", "mlp_out", "resid_post")
"""The kinds of sites, in the order in which one layer computes them."""


@dataclass(frozen=True)
class Site:
    """One place in the network; `head` is None for a whole layer and always None outside z."""

    kind: str
    layer: int
    head: int | None = None

    def __str__(self) -> str:
        head = "" if self.head is None else f".{self.head}"
        return f"{self.kind}.{self.layer}{head}"

    @property
    def depth(self) -> tuple[int, int]:
        """Sort key: the order in which a forward pass reaches the sites."""
        return self.layer, KINDS.index(self.kind)


@dataclass(frozen=True)
class SiteMap:
    """The module paths and widths of one model; paths are relative to the model or its block."""

    model_type: str
    num_layers: int
    num_heads: int
    d_model: int
    d_head: int
    blocks: str
    mixer: str
    """Output projection of the attention, within a block."""
    mlp: str
    """MLP, within a block."""

    def width(self, site: Site) -> int:
        """Number of activations of the site per token."""
        if site.kind != "z":
            return self.d_model
        return self.d_head if site.head is not None else self.num_heads * self.d_head

    def head_slice(self, site: Site) -> slice:
        """Columns of z.L that belong to the site: one head's, or all."""
        if site.head is None:
            return slice(None)
        return slice(site.head * self.d_head, (site.head + 1) * self.d_head)


_LAYOUTS = {
    "gpt_neo": ("transformer.h", "attn.attention.out_proj", "mlp"),
    "llama": ("model.layers", "self_attn.o_proj", "mlp"),
    "qwen2": ("model.layers", "self_attn.o_proj", "mlp"),
    "qwen3": ("model.layers", "self_attn.o_proj", "mlp"),
}


def site_map(config: PretrainedConfig) -> SiteMap:
    """The site map of a model with this Hugging Face configuration.

    Raises:
        InputError: the architecture is not one of those whose modules were checked.
    """
    if config.model_type not in _LAYOUTS:
        raise InputError(
            f"model: got architecture {config.model_type!r}, expected one of "
            f"{', '.join(_LAYOUTS)}; use a model of a supported architecture"
        )
    blocks, mixer, mlp = _LAYOUTS[config.model_type]
    d_model, num_heads = config.hidden_size, config.num_attention_heads
    return SiteMap(
        model_type=config.model_type,
        num_layers=config.num_hidden_layers,
        num_heads=num_heads,
        d_model=d_model,
        d_head=getattr(config, "head_dim", None) or d_model // num_heads,
        blocks=blocks,
        mixer=mixer,
        mlp=mlp,
    )


def parse_site(text: str, sites: SiteMap) -> Site:
    """The site a name denotes in a model.

    Raises:
        InputError: the name is malformed, or its layer or head does not exist in the model.
    """
    kind, *numbers = text.split(".")
    well_formed = kind in KINDS and all(n.isascii() and n.isdigit() for n in numbers)
    if not well_formed or len(numbers) not in ((1, 2) if kind == "z" else (1,)):
        raise InputError(
            f"site: got {text!r}, expected resid_pre.L, z.L, z.L.H, mlp_out.L or resid_post.L; "
            "write for example resid_post.1"
        )
    layer, head = int(numbers[0]), int(numbers[1]) if len(numbers) == 2 else None
    if layer >= sites.num_layers or (head is not None and head >= sites.num_heads):
        raise InputError(
            f"site: got {text!r}, expected a layer below {sites.num_layers} and a head below "
            f"{sites.num_heads}; choose a site that the model has"
        )
    return Site(kind, layer, head)
