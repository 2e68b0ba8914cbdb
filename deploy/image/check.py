#!/usr/bin/python3
"""Runs the image that was built, the way its own configuration says, and checks it from outside.

A line for each check; exit code 1 if one failed. What was started is stopped and removed, whatever happens.
"""

import argparse
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from engines import Buildah, Config, Docker, Image, Result, Running, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOST_CLIENT = ROOT / "build/release/client/cli/larder"

START_SECONDS = 30
# grpc.drain_timeout; nothing is under way when it is told to stop.
STOP_SECONDS = 10

NEEDED = ("Entrypoint", "Env", "ExposedPorts", "Healthcheck", "StopSignal")
LABELS = ("title", "description", "licenses", "version", "revision", "created")
PUBLIC_ARCHIVE = "http://deb.debian.org"
BUILD_TOOLS = "cc c++ gcc g++ cpp clang ld as make cmake ninja ccache"


def http_status(address: str, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def said(result: Result) -> str:
    return (result.stdout.strip() or result.stderr.strip()).replace("\n", "; ")


class Checks:
    """Each check prints its line; `failed` counts those that did not hold."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.failed = 0

    def that(self, what: str, holds: bool, seen: object) -> None:
        print(f"{'ok    ' if holds else 'FAILED'}  {what}: {seen}", flush=True)
        self.failed += 0 if holds else 1

    def image(self, image: Image, max_megabytes: int) -> None:
        lacking = [name for name in NEEDED if not self.config.get(name)]
        self.that("it says how to run it", not lacking, f"not {lacking}" if lacking else ", ".join(NEEDED))
        megabytes = image.bytes() / 1e6
        self.that(f"its layers take {max_megabytes} MB at most", megabytes <= max_megabytes, f"{megabytes:.1f} MB")
        user = self.config.get("User", "")
        numeric = re.fullmatch(r"[1-9]\d{4,}:[1-9]\d{4,}", user) is not None
        self.that("its user is a number from 10000 on", numeric, user or "root")
        labels = self.config.get("Labels") or {}
        missing = [name for name in LABELS if labels.get(f"org.opencontainers.image.{name}") in (None, "", "unknown")]
        self.that("it has its labels", not missing, f"not {missing}" if missing else ", ".join(LABELS))

    def service(self, running: Running) -> None:
        deadline = time.monotonic() + START_SECONDS
        while http_status(running.operations, "/readyz") != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        for path in ("/healthz", "/readyz"):
            status = http_status(running.operations, path)
            self.that(f"GET {path} from the host", status == 200, status)
        kind, *probe = self.config["Healthcheck"]["Test"]
        ping = running.inside(*probe, env=running.ping_environment)
        serves = kind == "CMD" and ping.returncode == 0 and ping.stdout.startswith("SERVING ")
        self.that(f"its health check, {' '.join(probe)}", serves, said(ping))
        self.set_and_get(running)

    def set_and_get(self, running: Running) -> None:
        def larder(*arguments: str) -> Result:
            line = ("--address", running.grpc, *arguments)
            return run(str(HOST_CLIENT), *line) if HOST_CLIENT.exists() else running.client(*line)

        value = f"checked-{time.time_ns()}"
        wrote, read = larder("set", "image-check", value), larder("get", "image-check")
        same = wrote.returncode == 0 and read.returncode == 0 and read.stdout.strip() == value
        self.that("Set and Get from the host", same, said(read) if wrote.returncode == 0 else said(wrote))

    def contents(self, running: Running) -> None:
        search = f"for tool in {BUILD_TOOLS}; do command -v $tool; done; find /usr/lib /usr/libexec -name 'cc1*'"
        found = running.inside("sh", "-c", search).stdout.split()
        self.that("it has no compiler", not found, found or "none")
        left = running.inside("find", "/var/lib/apt/lists", "/var/cache/apt", "-type", "f").stdout.split()
        self.that("it has no package lists", not left, left or "none")
        addresses = running.inside("grep", "-rhoE", "[a-z+]+://[^/ ]+", "/etc/apt").stdout.split()
        self.that("it names no archive but the public one", set(addresses) <= {PUBLIC_ARCHIVE}, sorted(set(addresses)))
        version = self.config["Labels"]["org.opencontainers.image.version"]
        versions = [said(running.inside(f"/usr/bin/{name}", "--version")) for name in ("larderd", "larder")]
        expected = [f"larderd {version}", f"larder {version}"]
        self.that("its programs are of the release in its label", versions == expected, ", ".join(versions))

    def confinement(self, running: Running) -> None:
        lines = running.inside("cat", f"/proc/{running.pid}/status").stdout.splitlines()
        status = dict(line.split(":\t", 1) for line in lines)
        program = running.inside("readlink", f"/proc/{running.pid}/exe").stdout.strip()
        uid, gid = self.config["User"].split(":")
        ids = (set(status["Uid"].split()), set(status["Gid"].split()))
        own = program == self.config["Entrypoint"][0] and ids == ({uid}, {gid})
        self.that("the server runs as that user", own, f"{program} as {status['Uid'].split()[0]}")
        held = [status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")]
        self.that("it has no capabilities", {int(mask, 16) for mask in held} == {0}, f"CapEff {held[0]}")
        self.that("it can gain no privileges", status["NoNewPrivs"] == "1", f"NoNewPrivs {status['NoNewPrivs']}")
        for folder in ("", "/tmp", "/var/tmp", "/run"):
            wrote = running.inside("sh", "-c", f"echo x >{folder}/probe")
            refused = wrote.returncode != 0 and "Read-only file system" in wrote.stderr
            self.that(f"{folder or '/'} cannot be written to", refused, said(wrote) or "written")
        listing = running.inside("sh", "-c", f"for fd in /proc/{running.pid}/fd/*; do readlink $fd; done")
        links = listing.stdout.splitlines()
        files = sorted({link for link in links if link.startswith("/") and link != "/dev/null"})
        self.that("the server holds no file open", not files and "/dev/null" in links, files or "none")

    def defaults(self, running: Running) -> None:
        printed = running.inside(*self.config["Entrypoint"], "--print-config").stdout
        listening = set(re.findall(r'"?listen"?:\s*"?([^"\s]+)', printed))
        exposed = {f"0.0.0.0:{port.removesuffix('/tcp')}" for port in self.config["ExposedPorts"]}
        self.that("it listens where it says, if not told otherwise", listening == exposed, ", ".join(sorted(listening)))

    def end(self, running: Running) -> None:
        name = self.config["StopSignal"]
        start = time.monotonic()
        code = running.stop(name)
        seconds = time.monotonic() - start
        self.that(f"{name} ends it", code == 0 and seconds <= STOP_SECONDS, f"code {code} after {seconds:.1f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=["docker", "buildah"])
    parser.add_argument("tag")
    parser.add_argument("--max-megabytes", type=int, required=True)
    arguments = parser.parse_args()
    # So that what is started is also removed then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    image: Image = Docker(arguments.tag) if arguments.engine == "docker" else Buildah(arguments.tag)
    checks = Checks(image.config)
    checks.image(image, arguments.max_megabytes)
    # One that is described wrongly cannot be run as it says.
    if not checks.failed:
        with image.start() as running:
            checks.service(running)
            checks.contents(running)
            checks.confinement(running)
            checks.defaults(running)
            checks.end(running)
    if checks.failed:
        print(f"image: {checks.failed} of the checks failed", file=sys.stderr)
    return 1 if checks.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        sys.exit(f"image: {error}")
