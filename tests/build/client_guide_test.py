"""Every piece of C++ in docs/client.md is a piece of client_guide.cc, which is compiled and run."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/client.md").read_text("utf-8")


def bare(text):
    """What is compared: all but white space, for lines may be broken elsewhere."""
    return "".join(text.split())


COMPILED = bare((ROOT / "tests/build/client_guide.cc").read_text("utf-8"))


def pieces():
    """The code between empty lines, with the line of the guide that its block begins at."""
    for block in re.finditer(r"^```cpp\n(.*?)^```$", GUIDE, re.M | re.S):
        begins = GUIDE.count("\n", 0, block.start()) + 1
        yield from ((begins, piece) for piece in re.split(r"\n\s*\n", block.group(1)))


PIECES = list(pieces())


def test_there_is_code():
    assert len(PIECES) >= 20


@pytest.mark.parametrize("begins,piece", PIECES, ids=lambda value: value if isinstance(value, int) else "")
def test_the_cpp_is_what_is_compiled(begins, piece):
    assert bare(piece) in COMPILED, f"docs/client.md:{begins}:\n{piece}"
