"""The two ways to run an image: Docker, and as root what buildah made.

Either way without capabilities, without new privileges and with a root that cannot be written to, and with the
entry point, environment and user that the image itself names.
"""

import contextlib
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, Protocol

COMMAND_SECONDS = 120
START_SECONDS = 30

# Keeps an image's root from being written to, gives it the devices that a container has, and becomes the program.
# It dies with its parent, which is said last: a change of user would undo it.
# Arguments: root, uid:gid, variables of the environment, the program and its arguments.
ENTER = """
set -e
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount -t proc -o ro,nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o mode=755,nosuid,noexec tmpfs "$root/dev"
for device in null zero full random urandom; do
  : >"$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -o remount,bind,ro,nosuid,noexec "$root/dev"
mount -o remount,bind,ro,nosuid,nodev "$root"
exec setpriv --no-new-privs --bounding-set=-all,+setuid,+setgid,+sys_chroot \
  /usr/sbin/chroot --userspec="$user" --groups= "$root" \
  /usr/bin/setpriv --pdeathsig KILL /usr/bin/env -i "$@"
"""

Config = dict[str, Any]
Result = subprocess.CompletedProcess[str]


def run(*command: str) -> Result:
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)


def output_of(*command: str) -> str:
    result = run(*command)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} failed: {result.stderr.strip()}")
    return result.stdout.strip()


class Running(Protocol):
    """The image, running. `pid` is the server's as seen inside; `ping_environment` is what its probe must be told."""

    pid: int
    grpc: str
    operations: str
    ping_environment: list[str]

    def inside(self, *command: str, env: list[str] | None = None) -> Result:
        """Runs a command as the server's user in what the server sees."""

    def client(self, *arguments: str) -> Result:
        """Runs the image's `larder` apart from the server, in the host's network."""

    def stop(self, signal_name: str) -> int:
        """Sends the signal, waits for the end, and returns the exit code."""


class Image(Protocol):
    config: Config

    def bytes(self) -> int:
        """The sum of its layers, uncompressed."""

    def start(self) -> contextlib.AbstractContextManager[Running]:
        """Starts the server; at the end of the context nothing of it is left."""


class Docker:
    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.image: Config = json.loads(output_of("docker", "image", "inspect", tag))[0]
        self.config: Config = self.image["Config"]

    def bytes(self) -> int:
        return int(self.image["Size"])

    @contextlib.contextmanager
    def start(self) -> Iterator[Running]:
        ports = ["--publish=127.0.0.1::50051", "--publish=127.0.0.1::9090"]
        hardening = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        container = output_of("docker", "run", "--detach", *ports, *hardening, self.tag)
        try:
            yield DockerRunning(self.tag, container)
        finally:
            run("docker", "rm", "--force", container)


class DockerRunning:
    def __init__(self, tag: str, container: str) -> None:
        self.tag = tag
        self.container = container
        self.pid = 1
        self.grpc = output_of("docker", "port", container, "50051").splitlines()[0]
        self.operations = output_of("docker", "port", container, "9090").splitlines()[0]
        self.ping_environment: list[str] = []

    def inside(self, *command: str, env: list[str] | None = None) -> Result:
        return run("docker", "exec", *(f"--env={variable}" for variable in env or []), self.container, *command)

    def client(self, *arguments: str) -> Result:
        return run("docker", "run", "--rm", "--network=host", "--entrypoint=/usr/bin/larder", self.tag, *arguments)

    def stop(self, signal_name: str) -> int:
        output_of("docker", "kill", f"--signal={signal_name}", self.container)
        return int(output_of("docker", "wait", self.container))


class Buildah:
    """In the storage that CONTAINERS_STORAGE_CONF names."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.config: Config = json.loads(output_of("buildah", "inspect", "--type=image", tag))["Docker"]["config"]

    def bytes(self) -> int:
        with tempfile.TemporaryDirectory() as folder:
            output_of("buildah", "push", "--quiet", "--disable-compression", self.tag, f"dir:{folder}")
            layers = json.loads((pathlib.Path(folder) / "manifest.json").read_text())["layers"]
        if any("gzip" in layer["mediaType"] for layer in layers):
            raise RuntimeError("the layers are compressed, which does not tell their size")
        return sum(int(layer["size"]) for layer in layers)

    @contextlib.contextmanager
    def start(self) -> Iterator[Running]:
        container = output_of("buildah", "from", "--pull-never", self.tag)
        try:
            with BuildahRunning(self.config, output_of("buildah", "mount", container)) as running:
                yield running
        finally:
            run("buildah", "rm", container)


class BuildahRunning:
    def __init__(self, config: Config, root: str) -> None:
        self.config = config
        self.root = root

    def __enter__(self) -> "BuildahRunning":
        # The network is the host's, where the ports that the image names may be taken.
        addresses = ["LARDER_LISTEN=127.0.0.1:0", "LARDER_OPERATIONS_LISTEN=127.0.0.1:0"]
        self.server = subprocess.Popen(
            self.entering(*self.config["Entrypoint"], *(self.config.get("Cmd") or []), env=addresses),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Nothing on the way to the server forks, so this is its own id.
        self.pid = self.server.pid
        try:
            self.read_addresses()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.server.kill()
        self.server.wait()

    def entering(self, *program: str, env: list[str]) -> list[str]:
        enter = ["unshare", "--mount", "--propagation=private", "sh", "-c", ENTER, "sh"]
        return [*enter, self.root, self.config["User"], *self.config["Env"], *env, *program]

    def read_addresses(self) -> None:
        assert self.server.stderr is not None
        said = []
        # Ends the loop, too.
        impatience = threading.Timer(START_SECONDS, self.server.kill)
        impatience.start()
        try:
            for line in self.server.stderr:
                said.append(line)
                if (ports := re.search(r'"grpc_port":(\d+),"operations_port":(\d+)', line)) is not None:
                    self.grpc, self.operations = (f"127.0.0.1:{port}" for port in ports.groups())
                    self.ping_environment = [f"LARDER_ADDRESS={self.grpc}"]
                    return
        finally:
            impatience.cancel()
        code = self.server.wait()
        raise RuntimeError(f"the server did not serve within {START_SECONDS} s ({code}): {''.join(said).strip()}")

    def inside(self, *command: str, env: list[str] | None = None) -> Result:
        uid, gid = self.config["User"].split(":")
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--root", "--wd", f"--setuid={uid}", f"--setgid={gid}"]
        return run(*enter, "/usr/bin/env", "-i", *self.config["Env"], *(env or []), *command)

    def client(self, *arguments: str) -> Result:
        return run(*self.entering("/usr/bin/larder", *arguments, env=[]))

    def stop(self, signal_name: str) -> int:
        self.server.send_signal(signal.Signals[signal_name])
        self.server.communicate(timeout=COMMAND_SECONDS)
        return self.server.returncode
