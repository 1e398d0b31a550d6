"""Error rates of transcriptions: edit distance to the reference, in characters and in words."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """The least number of insertions, deletions and substitutions that turn one sequence into the other."""
    above = list(range(len(other) + 1))
    for row, item in enumerate(one, start=1):
        line = [row]
        for column, each in enumerate(other, start=1):
            line.append(min(above[column] + 1, line[-1] + 1, above[column - 1] + (item != each)))
        above = line
    return above[-1]


def character_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Edits of characters, over all references, by character of the references; above 1 where too much was added."""
    return _rate(references, hypotheses)


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """As `character_error_rate`, in words, which white space separates."""
    return _rate([text.split() for text in references], [text.split() for text in hypotheses])


def _rate(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> float:
    edits = sum(edit_distance(*pair) for pair in zip(references, hypotheses, strict=True))
    return edits / sum(map(len, references))
