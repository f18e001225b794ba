"""The canonical text of an expression: see canonical.py, which writes the queries around it."""

from collections.abc import Mapping
from dataclasses import replace

from sqlglot import exp

from tinysql.sql.names import Scope, written
from tinysql.sql.parsing import bare, operands

_COMPARISONS: Mapping[type[exp.Expr], str] = {
    exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">=",
    exp.Is: "IS", exp.NullSafeEQ: "IS", exp.NullSafeNEQ: "IS NOT",
}  # fmt: skip
_SWAPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED = {"=": "<>", "<": ">=", ">": "<=", "IS": "IS NOT"}
_NEGATED |= {negated: operator for operator, negated in _NEGATED.items()}
_MATCHES = (exp.Like, exp.Glob, exp.RegexpLike, exp.Match)
_OPERATORS: Mapping[type[exp.Expr], str] = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%", exp.DPipe: "||",
}  # fmt: skip
_LOOSE = (exp.Binary, exp.Not, exp.Between, exp.In)
_NO_MEANING = frozenset(("this", "expressions", "big_int"))


def text(node: exp.Expr, scope: Scope) -> str:
    """The canonical text of an expression."""
    node = bare(node)
    if isinstance(node, exp.Column):
        return _column_text(node, scope)
    if isinstance(node, exp.Literal):
        return quoted(node.this) if node.is_string else node.this.lower()
    if isinstance(node, exp.Alias):
        return text(node.this, scope)
    if isinstance(node, exp.Connector):
        parts = sorted(part_text(part, scope) for part in operands(node))
        return f" {node.key.upper()} ".join(parts)
    if isinstance(node, exp.Query):
        return f"({scope.nested(node, scope)})"
    if isinstance(node, exp.Not):
        inner = bare(node.this)
        return _predicate(inner, scope, "NOT ") or f"NOT {operand_text(inner, scope)}"
    found = _predicate(node, scope, "")
    if found is not None:
        return found
    if isinstance(node, exp.Neg):
        return f"-{operand_text(node.this, scope)}"
    if type(node) in _OPERATORS:
        left, right = operand_text(node.this, scope), operand_text(node.expression, scope)
        return f"{left} {_OPERATORS[type(node)]} {right}"
    return _generic(node, scope)


def quoted(value: str) -> str:
    """A string as a SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def operand_text(node: exp.Expr, scope: Scope) -> str:
    """The text of a part of an expression, in brackets where these keep it together."""
    found = text(node, scope)
    return f"({found})" if isinstance(bare(node), _LOOSE) else found


def part_text(node: exp.Expr, scope: Scope) -> str:
    """The text of what AND or OR connects."""
    found = text(node, scope)
    return f"({found})" if isinstance(bare(node), exp.Connector) else found


def _column_text(column: exp.Column, scope: Scope) -> str:
    if isinstance(column.this, exp.Star):
        source = scope.sources.get(column.table.lower())
        return f"{source.name if source else written(column.table)}.*"
    found = scope.column(column)
    if found is not None:
        return found
    if column.name.lower() in scope.outputs:
        return output_text(column.name.lower(), scope)
    if column.this.args.get("quoted") and scope.lacks(column.name.lower()):
        return quoted(column.name)  # SQLite takes "x" for a string where no column is called x.
    return written(column.name)


def output_text(alias: str, scope: Scope) -> str:
    """The text of what an alias of SELECT stands for; in it, no alias means anything."""
    key = (alias, scope.nested)
    if key not in scope.output_texts:
        found = text(scope.outputs[alias], replace(scope, outputs={}))
        scope.output_texts[key] = found
    return scope.output_texts[key]


def _predicate(node: exp.Expr, scope: Scope, negation: str) -> str | None:
    """The text of a condition after "NOT " or ""; None where it is not one with words for both."""
    operator = _COMPARISONS.get(type(node))
    if operator is not None:
        return _comparison(node, _NEGATED[operator] if negation else operator, scope)
    if isinstance(node, exp.Exists):
        return f"{negation}EXISTS {text(node.this, scope)}"
    if isinstance(node, _MATCHES):
        negation = "NOT " if bool(negation) != bool(node.args.get("negate")) else ""
        found = f"{negation}{node.key.upper()} {operand_text(node.expression, scope)}"
    elif isinstance(node, exp.Between):
        low, high = (operand_text(node.args[name], scope) for name in ("low", "high"))
        found = f"{negation}BETWEEN {low} AND {high}"
    elif isinstance(node, exp.In):
        found = f"{negation}IN {_in_text(node, scope)}"
    else:
        return None
    return f"{operand_text(node.this, scope)} {found}"


def _comparison(node: exp.Expr, operator: str, scope: Scope) -> str:
    left, right = operand_text(node.this, scope), operand_text(node.expression, scope)
    if (_is_constant(right), right) < (_is_constant(left), left):
        left, right, operator = right, left, _SWAPPED.get(operator, operator)
    return f"{left} {operator} {right}"


def _is_constant(written_out: str) -> bool:
    return written_out[:1] in "'-0123456789" or written_out == "NULL"


def _in_text(node: exp.Expr, scope: Scope) -> str:
    if node.args.get("query"):
        return text(node.args["query"], scope)
    if node.args.get("field"):
        return written(node.args["field"].name)
    return f"({', '.join(sorted(text(value, scope) for value in node.expressions))})"


def _generic(node: exp.Expr, scope: Scope) -> str:
    """Any other node: its name and all that it is made of."""
    if isinstance(node, exp.Identifier):
        return written(node.name)
    if isinstance(node, exp.Star) and not any(node.args.values()):
        return "*"
    if isinstance(node, exp.Null | exp.Boolean):
        return node.sql()
    plain = [node.args.get("this"), *(node.args.get("expressions") or ())]
    name = node.sql_name() if isinstance(node, exp.Func) else node.key.upper()
    if isinstance(node, exp.Anonymous):
        name = written(str(plain.pop(0))).upper()
    elif isinstance(node, exp.Distinct):
        return f"DISTINCT {', '.join(value_text(value, scope) for value in plain[1:])}"
    found = [value_text(value, scope) for value in plain if value]
    found += [
        f"{key.upper()}={value_text(value, scope)}"
        for key, value in sorted(node.args.items())
        if value and key not in _NO_MEANING
    ]
    return f"{name}({', '.join(found)})"


def value_text(value: object, scope: Scope) -> str:
    """The text of anything that a node is made of."""
    if isinstance(value, exp.Expr):
        return text(value, scope)
    if isinstance(value, list):
        return f"({', '.join(value_text(each, scope) for each in value)})"
    return str(value).upper()
