"""What README.md and docs tell readers to do works, and their links lead somewhere."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from harness import DIE_WITH_PARENT, PATIENCE, clean_environment, free_port

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ADDRESS = "127.0.0.1:50051"
DOCUMENTS = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

CALLER = """
def load_user(number):
    print("loaded", number)
    return b"Ada"

{snippet}
for _ in range(2):
    print(get_user(7).decode())
"""


def block(language, wanted):
    """The one code block in that language that has `wanted` in it."""
    found = [text for text in re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S) if wanted in text]
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(name="stubs", scope="module")
def fixture_stubs(tmp_path_factory):
    """Made as the README says, in a folder that has the contract where the repository has it."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "proto").symlink_to(ROOT / "proto")
    script = block("sh", "protoc") + 'printf %s "$PYTHONPATH"'
    ended = subprocess.run(["sh", "-euc", script], cwd=folder, capture_output=True, check=False, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return folder / ended.stdout.decode()


def call(stubs, port):
    """The lines that the README's Python prints where it reads a user twice, with a server at the port."""
    snippet = block("python", "import grpc")
    assert snippet.count(ADDRESS) == 1
    # A busy machine may need longer; how long is not what is shown.
    snippet = snippet.replace(ADDRESS, f"127.0.0.1:{port}").replace("timeout=0.25", f"timeout={PATIENCE}")
    ended = subprocess.run(
        [*DIE_WITH_PARENT, sys.executable, "-c", CALLER.format(snippet=snippet)],
        env=clean_environment(PYTHONPATH=str(stubs), no_grpc_proxy="127.0.0.1"),
        capture_output=True,
        check=False,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_the_python_loads_once_and_then_hits(start, stubs):
    assert call(stubs, start.larderd().port) == ["loaded 7", "Ada", "Ada"]


def test_the_python_goes_on_without_the_cache(stubs):
    assert call(stubs, free_port()) == ["loaded 7", "Ada", "loaded 7", "Ada"]


def test_the_cpp_is_what_is_compiled():
    compiled = (ROOT / "tests/build/readme_call.cc").read_text("utf-8")
    lines = [line.strip() for line in compiled.splitlines()]
    at = 0
    for line in block("cpp", "GetOrLoad").splitlines():
        if line:
            assert line in lines[at:], line
            at = lines.index(line, at) + 1


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_lead_somewhere(document):
    text = (ROOT / document).read_text("utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if not os.path.exists((ROOT / document).parent / link)]
    assert not missing
