"""Each folder reaches the headers of the folders and libraries below it, and no others: a forbidden include does not build.

A source with one include is compiled with the flags of each folder's own sources, taken from LARDER_BUILD_DIR.
"""

import concurrent.futures
import functools
import json
import os
import pathlib
import shlex
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["LARDER_BUILD_DIR"])

# One header to stand for each library, and for each part of the contract.
LIBRARIES = {
    "grpc": "grpcpp/grpcpp.h",
    "grpc++": "grpc++/grpc++.h",
    "grpc core": "grpc/grpc.h",
    "services": "larder/v1/cache.grpc.pb.h",
    "messages": "larder/v1/cache.pb.h",
    "config messages": "larder/config/v1/config.pb.h",
    "hiredis": "hiredis/hiredis.h",
    "prometheus": "prometheus/registry.h",
    "yaml": "yaml-cpp/yaml.h",
    "microhttpd": "microhttpd.h",
    "cli11": "CLI/CLI.hpp",
    "spdlog": "spdlog/spdlog.h",
    "client": "larder/client.h",
}
GRPC = {"grpc", "grpc++", "grpc core", "services", "messages"}
LEAVES = {"core", "core/lines", "server/metrics", "server/log"}
SERVER = {
    "server/config",
    "server/engine",
    "server/http",
    "server/origin",
    "server/policy",
    "server/redis",
    "server/rpc",
    "server/store",
}

# What each folder uses, and so must reach; what it may reach besides. All else is forbidden.
RULES = {
    # What stands under core is seen with it; that its library is not linked keeps it out.
    "core": ({"core"}, {"core/lines"}),
    "core/lines": ({"core/lines"}, {"core"}),
    "server/metrics": ({"server/metrics", "prometheus"}, {"core", "core/lines"}),
    "server/log": ({"server/log", "spdlog"}, {"core", "core/lines"}),
    "server/policy": ({"server/policy"}, LEAVES),
    "server/store": ({"core"}, LEAVES),
    "server/redis": ({"hiredis", "server/store"}, LEAVES),
    "server/config": ({"yaml", "config messages", "server/policy"}, LEAVES),
    "server/engine": ({"core", "server/policy", "server/store", "server/metrics"}, LEAVES),
    "server/origin": (
        {"core", "grpc", "services", "messages", "server/engine", "server/policy", "server/metrics"},
        LEAVES | GRPC | {"server/store"},
    ),
    "server/rpc": ({"grpc", "services", "messages", "server/engine"}, LEAVES | GRPC | {"server/policy", "server/store"}),
    "server/http": ({"microhttpd"}, LEAVES),
    "server/app": (SERVER, LEAVES | GRPC | {"config messages", "cli11", "spdlog"}),
    "server": ({"server/app"}, LEAVES | {"server/config", "server/policy"}),  # main.cc
    "client/src": ({"client/src", "client", "core", "services", "messages"}, GRPC | {"core/lines"}),
    "client/testing": ({"client/testing", "client", "client/src", "messages"}, {"core", "core/lines"}),
    # As a user's: of ours only the public headers.
    "client/examples/bookings": ({"client/examples/bookings"}, {"client", "cli11"}),
    # As a user's too: the contract, and gRPC.
    "client/examples/bookings_origin": ({"client/examples/bookings", "cli11", "grpc", "services", "messages"}, GRPC),
    "client/cli": ({"client/cli", "cli11", "services", "messages"}, GRPC | {"core", "core/lines"}),
}


@functools.lru_cache(maxsize=None)
def commands():
    """For each folder the compilers and flags of its sources, each once, without what concerns one source.

    A source that a test builds once more, into a program of its own, is the test's there and under no rule.
    """
    found = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8")):
        folder = pathlib.Path(entry["file"]).parent
        if ROOT not in folder.parents or BUILD in folder.parents:
            continue
        words, command, output = iter(shlex.split(entry["command"])), [], ""
        for word in words:
            if word == "-o":
                output = next(words)
            elif word in ("-c", "-MF", "-MT", "-MQ"):
                next(words)
            elif word != "-MD" and pathlib.Path(word).name != "ccache":
                command.append(word)
        if not output.startswith("tests/"):
            found.setdefault(folder.relative_to(ROOT).as_posix(), set()).add(tuple(command))
    return found


def header(thing):
    """A header of a library, or of a folder of ours."""
    if thing in LIBRARIES:
        return LIBRARIES[thing]
    headers = sorted((ROOT / thing).glob("*.h"))
    assert headers, f"{thing} has no header"
    return headers[0].relative_to(ROOT).as_posix()


def plant(tmp_path, command, mode, things):
    """Includes each of `things` in a source of its own; for each the exit code and what the compiler said."""

    def include(thing):
        source = tmp_path / f"planted_{thing.replace('/', '_').replace(' ', '_')}.cc"
        source.write_text(f'#include "{header(thing)}"\n', encoding="utf-8")
        done = subprocess.run(
            [*command, mode, str(source)],
            cwd=BUILD,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return zip(things, pool.map(include, things))


def refused(thing, output):
    """Did the compiler refuse the header itself, and not something inside it?"""
    name = header(thing)
    errors = [line for line in output.splitlines() if "error:" in line]
    refusals = (
        f"error: {name}: No such file",
        f"error: '{name}' file not found",
        f'#error "{name}: this folder may not use',
        f'error: "{name}: this folder may not use',
    )
    return bool(errors) and any(refusal in errors[0] for refusal in refusals)


def test_every_folder_has_a_rule():
    assert {folder for folder in commands() if folder.split("/")[0] in ("core", "server", "client")} == set(RULES)


@pytest.mark.parametrize("folder", RULES)
def test_what_it_uses_it_reaches(tmp_path, folder):
    for command in commands()[folder]:
        for thing, (status, output) in plant(tmp_path, command, "-E", sorted(RULES[folder][0])):
            assert status == 0, f"{folder} should reach {thing}:\n{output}"


@pytest.mark.parametrize("folder", RULES)
def test_what_is_forbidden_does_not_build(tmp_path, folder):
    uses, may_use = RULES[folder]
    forbidden = sorted((set(RULES) | set(LIBRARIES)) - {folder, "server"} - uses - may_use)
    assert forbidden
    for command in commands()[folder]:
        for thing, (status, output) in plant(tmp_path, command, "-fsyntax-only", forbidden):
            assert status != 0, f"{folder} reaches {thing}, which it may not"
            assert refused(thing, output), f"{folder} fails on {thing}, but not for the include itself:\n{output}"
