# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a Jinja expression depends on, so that it need not be evaluated again for the same values. Pure.

ansible-core compiles an expression each time it evaluates it, which takes about 0.4 ms. An inventory evaluates the same
few expressions for each of its hosts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from jinja2 import Environment, TemplateSyntaxError, nodes

# Nodes, filters, and tests that always give the same result for the same values: no calls, lookups, times, or random
# numbers.
_PURE_NODES = (
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.BinExpr,
    nodes.UnaryExpr,
    nodes.Concat,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Slice,
    nodes.Keyword,
)
_PURE_FILTERS = frozenset(
    """
    abs basename bool capitalize combine count d default dict2items difference dirname first flatten float int
    intersect items2dict join last length list lower max mandatory min regex_findall regex_replace regex_search replace
    reverse round sort split splitext string sum symmetric_difference ternary title trim truncate type_debug union
    unique upper
    """.split()  # noqa: SIM905 -- a list would be forty lines
)
_PURE_TESTS = frozenset(
    """
    boolean contains defined divisibleby eq equalto even falsy false float ge greaterthan gt in integer iterable le
    lessthan lower lt mapping match ne none number odd regex search sequence string subset superset true truthy
    undefined upper version
    """.split()  # noqa: SIM905 -- a list would be forty lines
)
_MISSING = ("missing",)
_ENVIRONMENT = Environment()  # noqa: S701 -- it reads expressions and renders nothing

Path = tuple[str, ...]


@dataclass(frozen=True)
class Reads:
    """The variables and items that an expression reads. It depends on nothing else.

    ``alone``: the expression is just the one path in ``paths``, so that its value is the one found there.
    """

    paths: tuple[Path, ...]
    alone: bool

    def are_in(self, variables: Mapping[str, Any]) -> bool:
        """Whether every variable exists, whatever its items are."""
        return all(path[0] in variables for path in self.paths)

    def values(self, variables: Mapping[str, Any]) -> tuple[Hashable, ...]:
        """A key of the values found there, which is equal for equal values only."""
        return tuple(_frozen(path, variables) for path in self.paths)

    def value(self, variables: Mapping[str, Any]) -> tuple[bool, Any]:
        """For an expression that is alone: whether its value exists, and the value."""
        found, rest = _follow(self.paths[0], variables)
        return not rest, found


def reads(expression: object) -> Optional[Reads]:
    """What the expression reads, or None if it may depend on something else."""
    if not isinstance(expression, str):
        return None
    try:
        body = _ENVIRONMENT.parse("{{ " + expression + " }}").body
    except TemplateSyntaxError:
        return None
    # More than one node: the expression closes our brackets, and ansible-core will refuse it.
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    node = body[0].nodes[0]
    if not all(map(_is_pure, [node, *node.find_all(nodes.Node)])):
        return None
    return Reads(tuple(dict.fromkeys(_paths(node))), alone=_path(node) is not None)


def _is_pure(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in _PURE_FILTERS
    if isinstance(node, nodes.Test):
        return node.name in _PURE_TESTS
    return isinstance(node, _PURE_NODES)


def _paths(node: nodes.Node) -> Iterator[Path]:
    path = _path(node)
    if path is not None:
        yield path
        return
    for child in node.iter_child_nodes():
        yield from _paths(child)


def _path(node: nodes.Node) -> Optional[Path]:
    """The path of a variable or of an item in it, at any depth, or None for anything else."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        step = node.arg.value
    elif isinstance(node, nodes.Getattr):
        step = node.attr
    else:
        return None
    # The attributes of a dictionary are not its items.
    before = None if step.startswith("_") or hasattr(dict, step) else _path(node.node)
    return None if before is None else (*before, step)


def _follow(path: Path, variables: Mapping[str, Any]) -> tuple[Any, Path]:
    """Return the value at the end of the path, or where it breaks off, and the rest of the path."""
    value: Any = variables
    for number, step in enumerate(path):
        if type(value) is not dict or step not in value:  # pylint: disable=unidiomatic-typecheck
            return value, path[number:]
        value = value[step]
    return value, ()


def _frozen(path: Path, variables: Mapping[str, Any]) -> Hashable:
    value, rest = _follow(path, variables)
    if rest and isinstance(value, dict):
        return _MISSING
    # With the type, because 1, 1.0, and True are equal.
    return (type(value), value if isinstance(value, (str, int, float, type(None))) else repr(value))
