"""Reads a rename table: rows of name patterns become rules, rules carry tensors to their new names.

A row reads like a line of a table, `original name -> our name`, in this notation:

    N        a layer index, the same on both sides
    *        `weight` and `bias`
    {a,b}    the row stands for several rows: first with first, second with second
    [a,b]    one tensor on the other side belongs to all these names together
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from torch import Tensor

from sam3_hf.conversion.errors import ConversionError
from sam3_hf.conversion.transforms import COPY, Step, Transform

_WILDCARD = re.compile(r"\bN\b|\*")


class Row(NamedTuple):
    """One line of a rename table. `ours` is empty for tensors that are not stored."""

    original: str
    ours: str
    transform: Transform = COPY


class Rule(NamedTuple):
    """Tensors under `sources` become tensors under `targets`; both are name patterns with `N` and `*` left."""

    sources: list[str]
    targets: list[str]
    step: Step

    def takes(self, names: Collection[str]) -> set[str]:
        """Those of the names that the rule is for."""
        return {name for regex in map(_regex, self.sources) for name in names if regex.fullmatch(name)}

    def leads_under(self, prefix: str) -> bool:
        """Whether the rule writes names that begin with `prefix`."""
        return any(target.startswith(prefix) for target in self.targets)


def under(original: str, ours: str, rows: Sequence[Row]) -> list[Row]:
    """The rows with a prefix before the names of each side."""
    return [Row(original + row.original, row.ours and ours + row.ours, row.transform) for row in rows]


def rules_to_ours(table: Sequence[Row]) -> list[Rule]:
    """Rules from the original's names to ours."""
    return [Rule(old, new, row.transform.forth) for row in table for old, new in _expand(row)]


def rules_to_original(table: Sequence[Row]) -> list[Rule]:
    """Rules from our names to the original's."""
    return [Rule(new, old, row.transform.back) for row in table for old, new in _expand(row) if new]


def rename(tensors: Mapping[str, Tensor], rules: Sequence[Rule]) -> dict[str, Tensor]:
    """The tensors that the rules take, under their new names. A rule that lacks one of its tensors is not applied."""
    renamed: dict[str, Tensor] = {}
    for rule in rules:
        for values in _layers(rule.sources[0], tensors):
            sources = [_fill(source, values) for source in rule.sources]
            if all(source in tensors for source in sources):
                targets = [_fill(target, values) for target in rule.targets]
                renamed.update(zip(targets, _carried(rule, sources, tensors), strict=True))
    return renamed


def _carried(rule: Rule, sources: list[str], tensors: Mapping[str, Tensor]) -> list[Tensor]:
    try:
        return rule.step([tensors[source] for source in sources])
    except ConversionError as error:
        raise ConversionError(f"{', '.join(sources)}: {error}") from error


def _layers(pattern: str, names: Collection[str]) -> Iterator[tuple[str, ...]]:
    """What the wildcards stand for, for each name that fits the pattern."""
    regex = _regex(pattern)
    return (found.groups() for found in map(regex.fullmatch, names) if found)


def _regex(pattern: str) -> re.Pattern[str]:
    """`N` and `*` become groups, everything else stands for itself."""
    literals = [re.escape(text) for text in _WILDCARD.split(pattern)]
    groups = [r"(\d+)" if wildcard == "N" else "(weight|bias)" for wildcard in _WILDCARD.findall(pattern)]
    return re.compile("".join(text + group for text, group in zip_longest(literals, groups, fillvalue="")))


def _fill(pattern: str, values: tuple[str, ...]) -> str:
    remaining = iter(values)
    return _WILDCARD.sub(lambda _: next(remaining), pattern)


def _expand(row: Row) -> Iterator[tuple[list[str], list[str]]]:
    """The original patterns and our patterns of each rule that a row stands for."""
    olds, news = _choices(row.original, "{}"), _choices(row.ours, "{}")
    for old, new in zip(olds, news if row.ours else [""] * len(olds), strict=True):
        yield _choices(old, "[]"), _choices(new, "[]") if new else []


def _choices(pattern: str, brackets: str) -> list[str]:
    """The pattern once per word of its bracketed list; itself if it has none."""
    opening, closing = brackets
    if opening not in pattern:
        return [pattern]
    before, rest = pattern.split(opening)
    words, after = rest.split(closing)
    return [before + word + after for word in words.split(",")]
