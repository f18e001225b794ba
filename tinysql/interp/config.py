"""What is corrupted, patched and encoded; apart from the code that does it, which imports torch."""

from typing import Annotated, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field

from tinysql.config import Config
from tinysql.data.dataset import GeneralizationSplit

_Item = TypeVar("_Item")


def _distinct(items: tuple[_Item, ...]) -> tuple[_Item, ...]:
    if not items or len(set(items)) < len(items):
        raise ValueError(f"got {list(items)}, expected one or more, each once")
    return items


Feature = Literal[
    "EngTableName",
    "EngFieldName",
    "DefTableName",
    "DefFieldName",
    "DefCreateTable",
    "DefFieldSeparator",
    "OrderByField",
    "OrderByDirection",
    "AggregateFunction",
    "AggregateField",
    "WhereField",
    "WhereOperator",
    "WhereLiteral",
    "JoinTable",
    "GroupByField",
    "HavingOperator",
    "HavingLiteral",
    "Limit",
    "Distinct",
    "SetOperation",
    "SubqueryAggregate",
    "OuterAggregate",
]
"""What a pair differs in; see corruptions.py."""
FEATURES: tuple[Feature, ...] = get_args(Feature)

PatchKind = Literal["resid_pre", "z", "mlp_out"]


SiteName = Annotated[
    str, Field(pattern=r"^(resid_pre|resid_post|mlp_out)\.\d+$|^z\.\d+(\.\d+)?$")
]


class PairsConfig(Config):
    """Which prompt pairs to build."""

    features: Annotated[tuple[Feature, ...], AfterValidator(_distinct)] = FEATURES[:4]
    """What to corrupt; features of a clause need a dataset whose rows have the clause."""
    pairs_per_feature: int = Field(default=64, ge=1)
    """Pairs wanted per feature; fewer come out if the split has too few usable rows."""
    split: Literal["validation", "test"] | GeneralizationSplit = "validation"
    """Split of the dataset whose rows are used."""
    novel_names: bool = False
    """Whether the names that replace tables, and columns of the schema, are in no dataset."""
    seed: int = Field(default=0, ge=0)
    """Seed of the choice of mention and of replacement in each row."""


class PatchingConfig(Config):
    """What to patch and how to report it."""

    sites: Annotated[tuple[PatchKind, ...], AfterValidator(_distinct)] = get_args(PatchKind)
    """Kinds of sites to patch; z is patched head by head."""
    near_zero: float = Field(default=0.1, gt=0)
    """Pairs with |clean - corrupted| below this many logits are counted in `near_zero`."""


class SAEConfig(Config):
    """The autoencoders of one step and their training."""

    sites: Annotated[tuple[SiteName, ...], AfterValidator(_distinct)] = ("resid_post.0",)
    """Where activations are read, one autoencoder each, such as resid_post.1 or mlp_out.0."""

    k: int = Field(default=32, ge=1)
    """Active latents per token."""
    expansion: int = Field(default=8, ge=1)
    """Latents per activation of the site: d_sae = expansion * d_in."""
    tokens: int = Field(default=1_000_000, ge=1)
    """Tokens to train on; the dataset is repeated if it has fewer."""
    batch_tokens: int = Field(default=2048, ge=1)
    """Tokens per step."""
    buffer_tokens: int = Field(default=65_536, ge=1)
    """Tokens among which activations are shuffled."""
    lr: float | None = Field(default=None, gt=0)
    """Learning rate of Adam; None means 2e-4 / sqrt(d_sae / 2^14)."""
    aux_alpha: float = Field(default=1 / 32, ge=0)
    """Weight of the AuxK loss."""
    aux_k: int | None = Field(default=None, ge=1)
    """Dead latents that reconstruct the error of a token; None means d_in / 2."""
    dead_tokens: int = Field(default=100_000, ge=1)
    """A latent that has not fired for this many tokens counts as dead."""
    skip_positions: int = Field(default=1, ge=0, le=8)
    """First tokens of every row to leave out, in training and evaluation."""
    eval_tokens: int = Field(default=32_768, ge=1)
    """Tokens of the validation split to evaluate on."""
    seed: int = Field(default=0, ge=0)
    """Seed of the weights and of the order of rows and tokens."""
