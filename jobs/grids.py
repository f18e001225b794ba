"""Steps that a recipe writes once and means several times.

    "{base}-{data}":
      kind: model
      for: {base: [bm1, bm2], data: [easy, hard]}
      uses: {base: "{base}", dataset: "{data}"}

stands for bm1-easy, bm1-hard, bm2-easy and bm2-hard. In the name of the step and in all that it
holds, "{base}" is the value; a text that is nothing else becomes the value itself, so that a number
stays one. The last of the names changes fastest.
"""

import itertools
import re
from collections.abc import Mapping
from typing import Any

from cluster.errors import UserError

_PLACE = re.compile(r"\{(\w+)\}")


def multiplied(steps: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The steps, those with `for` once for every combination of its values.

    Raises UserError: two of one name, or a name in braces that has no values.
    """
    found: dict[str, dict[str, Any]] = {}
    for written, entry in steps.items():
        rest = {key: value for key, value in entry.items() if key != "for"}
        axes = entry.get("for", {})
        for axis, values in axes.items():
            if not values:
                raise UserError(f"steps.{written}.for.{axis}: no values, expected at least one")
        for values in itertools.product(*axes.values()):
            chosen = dict(zip(axes, values, strict=True))
            made = {written: rest}
            if axes:
                made = {str(_filled(written, chosen, written)): _filled(rest, chosen, written)}
            for name in made:
                if name in found:
                    missing = [axis for axis in axes if f"{{{axis}}}" not in written]
                    hint = f"put {{{missing[0]}}} into its name" if missing else "rename one"
                    raise UserError(f"steps.{written}: there are two steps {name!r}: {hint}")
            found |= made
    return found


def _filled(written: Any, chosen: Mapping[str, Any], step: str) -> Any:
    """The same with values in place of the names in braces."""
    if isinstance(written, dict):
        return {key: _filled(value, chosen, step) for key, value in written.items()}
    if isinstance(written, list | tuple):
        return [_filled(value, chosen, step) for value in written]
    if not isinstance(written, str):
        return written
    for name in _PLACE.findall(written):
        if name not in chosen:
            expected = ", ".join(f"{{{axis}}}" for axis in chosen)
            raise UserError(f"steps.{step}: {{{name}}} has no values; expected {expected}")
    if whole := _PLACE.fullmatch(written):
        return chosen[whole[1]]
    return _PLACE.sub(lambda match: str(chosen[match[1]]), written)
