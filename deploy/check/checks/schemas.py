"""Checks manifests against Kubernetes' and the Prometheus operator's own types, with unknown fields refused: the
TypeScript compiler allows none in a literal of a known type."""

import bisect
import json
import re
import shutil
import subprocess

from checks.manifests import ROOT, CheckError, Manifest, Overlay, name_of
from checks.mistakes import SCHEMA, planted

PINS = ROOT / "deploy/check/schemas"
WORK = ROOT / "build/deploy-check"
OPERATOR = "@kubernetes-models/prometheus-operator"
ERROR = re.compile(r"^(\S+)\.ts\((\d+),\d+\): error (.*)$")


def install() -> None:
    """Once for each lock file; needs the package registry then."""
    WORK.mkdir(parents=True, exist_ok=True)
    installed = WORK / "installed-lock.json"
    lock = (PINS / "package-lock.json").read_bytes()
    if installed.is_file() and installed.read_bytes() == lock:
        return
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(PINS / name, WORK / name)
    # Only types are read, no script of theirs runs: which Node they ask for does not matter.
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=WORK, check=False).returncode != 0:
        raise CheckError("npm could not install the schemas")
    installed.write_bytes(lock)


def module_of(manifest: Manifest) -> str:
    group, _, version = manifest["apiVersion"].rpartition("/")
    package = OPERATOR if group == "monitoring.coreos.com" else "kubernetes-models"
    return "/".join(part for part in (package, group, version, manifest["kind"]) if part)


class Program:
    """One TypeScript file with a typed literal for each manifest."""

    def __init__(self, overlay: Overlay) -> None:
        self.lines: list[str] = []
        self._names: list[str] = []
        self._starts: list[int] = []
        for number, manifest in enumerate((*overlay.manifests, *overlay.secrets)):
            self._names.append(name_of(manifest))
            self._starts.append(len(self.lines) + 1)
            kind = f"I{manifest['kind']}"
            self.lines.append(f'import type {{ {kind} as T{number} }} from "{module_of(manifest)}";')
            literal = json.dumps(manifest, indent=1, default=str)
            self.lines += f"export const m{number}: T{number} = {literal};".split("\n")

    def manifest_at(self, line: int) -> str:
        return self._names[bisect.bisect_right(self._starts, line) - 1]


def compile_all(programs: dict[str, Program]) -> dict[str, list[str]]:
    """The errors of each program."""
    for file in WORK.glob("*.ts"):
        file.unlink()
    for name, program in programs.items():
        (WORK / f"{name}.ts").write_text("\n".join(program.lines) + "\n", "utf-8")
    shutil.copy(PINS / "tsconfig.json", WORK / "tsconfig.json")
    command = ["node_modules/.bin/tsc", "--project", "."]
    done = subprocess.run(command, cwd=WORK, capture_output=True, text=True, check=False)
    errors: dict[str, list[str]] = {name: [] for name in programs}
    for line in done.stdout.splitlines():
        if match := ERROR.match(line):
            errors[match[1]].append(f"{programs[match[1]].manifest_at(int(match[2]))}: {match[3]}")
    if (done.returncode != 0) != any(errors.values()):
        raise CheckError(f"tsc ended with {done.returncode}: {done.stdout}{done.stderr}")
    return errors


def problems(overlays: list[Overlay]) -> list[str]:
    install()
    programs = {overlay.name: Program(overlay) for overlay in overlays}
    for number, mistake in enumerate(SCHEMA):
        with planted(mistake) as overlay:
            programs[f"mistake{number}"] = Program(overlay)
    errors = compile_all(programs)
    found = [f"{overlay.name}: {error}" for overlay in overlays for error in errors[overlay.name]]
    for number, mistake in enumerate(SCHEMA):
        seen = errors[f"mistake{number}"]
        if not any(mistake.message in error for error in seen):
            found.append(f"planted mistake '{mistake.what}' is not caught: '{mistake.message}' is not in {seen}")
    return found
