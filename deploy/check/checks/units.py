"""Quantities of Kubernetes and of larderd's configuration."""

import re

BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def byte_count(text: str | int) -> int:
    """`512Mi`, `64KiB`, `1gb` (binary, as Redis has it)."""
    match = re.fullmatch(r"(\d+)\s*([kKMGT]i?|[kmg]b)?B?", str(text))
    if match is None:
        raise ValueError(f"not a size: {text}")
    unit = match[2] or ""
    if unit in ("kb", "mb", "gb"):
        unit = unit[0].upper() + "i"
    return int(match[1]) * BYTES[unit]


def milliseconds(text: str | int) -> int:
    """`250ms`, `1h30m`, 0."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", str(text))
    return round(sum(float(number) * MILLISECONDS[unit] for number, unit in parts))
