"""HTML pages from Jinja templates that lie beside the code: escaped, and without unset names."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from tinysql.report.svg import number, percent


def load_template(
    package: str, filters: Mapping[str, Callable[..., object]], *, name: str = "page.html.j2"
) -> Template:
    """A template of the package, with the filters number, percent, csp_hash and these."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent, "csp_hash": _csp_hash, **filters}
    source = files(package).joinpath(name).read_text(encoding="utf-8")
    return environment.from_string(source)


@cache
def report_style() -> Markup:
    """The report's style sheet, so that other pages cannot drift apart from it."""
    page = files("tinysql.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    return Markup(page.partition("<style>")[2].partition("</style>")[0])


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(str(script).encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
