"""What the checks need to know about PromQL: as much of it as the rules and dashboards may use."""

import re

# One side of an alert: something recorded or scraped, compared with a number. So that a graph, and a check, can show
# what is compared while the alert is quiet.
_SERIES = r"(?P<operand>[a-zA-Z_:][\w:]*(?:\{[^{}]*\})?)"
_COMPARISON = re.compile(rf"^{_SERIES}\s*[<>]\s*(?P<number>\d+(\.\d+)?)$")
_ABSENT = re.compile(rf"^absent\({_SERIES}\)$")
_SELECTOR = re.compile(r"[a-zA-Z_:][\w:]*\{[^{}]*\}")
_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)")


class NotSimple(ValueError):
    """An alert of another shape than the check can take apart."""


def operands(alert: str) -> list[str]:
    """What the alert's expression compares, each without its comparison; for absent(x), x."""
    found = []
    for side in re.split(r"\s+(?:and|unless)\s+", " ".join(alert.split())):
        match = _COMPARISON.match(side) or _ABSENT.match(side)
        if match is None:
            raise NotSimple(f"{side!r} is neither `series < number`, `series > number` nor `absent(series)`")
        found.append(match["operand"])
    return found


def threshold(alert: str) -> float | None:
    """The number that the alert's first comparison is with; None for absent()."""
    match = _COMPARISON.match(re.split(r"\s+(?:and|unless)\s+", " ".join(alert.split()))[0])
    return float(match["number"]) if match else None


def selectors(text: str) -> set[str]:
    """What the text takes its series from; without those that select by name alone."""
    return set(_SELECTOR.findall(text))


def variables(text: str) -> set[str]:
    """The dashboard variables in a text, those of Grafana's own without their leading underscores kept."""
    return {braced or bare for braced, bare in _VARIABLE.findall(text)}


def substitute(text: str, values: dict[str, str]) -> str:
    """The text with its variables replaced; KeyError for one without a value."""
    return _VARIABLE.sub(lambda match: values[match[1] or match[2]], text)
