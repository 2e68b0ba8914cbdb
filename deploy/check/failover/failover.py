"""Kills the Redis master under larderd, twice, and asks how long the service was away."""

import pathlib
import re
import signal
import subprocess
import time

from checks.manifests import CheckError, Overlay
from failover.cluster import GRPC_PORT, REDIS_PORT, SENTINEL_PORT, Cluster, eventually

# 3 s until the Sentinels call the master down, their vote, the first replica's synchronisation, HAProxy's check, and
# larderd's pause before it connects again: 5 to 6 s on an idle machine.
BOUND = 20.0
START = 30.0


def larder(cluster: Cluster, tool: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
    address = f"{cluster.addresses.larderd}:{GRPC_PORT}"
    command = [str(tool), "--address", address, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


def stores(cluster: Cluster, tool: pathlib.Path, key: str) -> bool:
    """Does a value go through to Redis and come back from there?"""
    value = f"value-{time.monotonic_ns()}"
    if larder(cluster, tool, "set", key, value).returncode != 0:
        return False
    host, port = cluster.addresses.proxy, REDIS_PORT
    return larder(cluster, tool, "get", key).stdout.strip() == value and cluster.redis_cli(host, port, "DBSIZE") != "0"


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise CheckError(f"failover: {what}")


def check_settings(cluster: Cluster) -> None:
    host = cluster.addresses.redis(0)
    refused = cluster.redis_cli(host, REDIS_PORT, "PING", password=None)
    expect(refused.startswith("NOAUTH"), f"Redis answers without a password: {refused}")
    refused = cluster.redis_cli(cluster.addresses.sentinel(0), SENTINEL_PORT, "PING", password=None)
    expect(refused.startswith("NOAUTH"), f"Sentinel answers without a password: {refused}")
    policy = cluster.redis_cli(host, REDIS_PORT, "CONFIG", "GET", "maxmemory-policy").split("\n")[-1]
    expect(policy == "volatile-lru", f"maxmemory-policy is {policy}")


def is_complete(cluster: Cluster) -> bool:
    """Two replicas behind one master, and every Sentinel knows the other two."""
    masters = list(cluster.masters())
    if len(masters) != 1 or cluster.sentinel_master() != set(masters):
        return False
    if "connected_slaves:2" not in cluster.redis_cli(masters[0], REDIS_PORT, "INFO", "replication"):
        return False
    facts = [cluster.redis_cli(cluster.addresses.sentinel(n), SENTINEL_PORT, "INFO", "sentinel") for n in range(3)]
    return all("slaves=2,sentinels=3" in fact for fact in facts) and cluster.are_all_ready()


def fail_over(cluster: Cluster, tool: pathlib.Path, how: int, label: str) -> float:
    """Takes the master away, gives it back once the service is there again, and says how long that took."""
    eventually(lambda: is_complete(cluster), f"a complete cluster before: {label}", START)
    (old,) = cluster.masters()
    cluster.redis[old].signal(how)
    if how == signal.SIGKILL:
        cluster.redis[old].child.wait()
    away = eventually(lambda: stores(cluster, tool, "after"), f"larderd serves again after: {label}", BOUND)
    (new,) = cluster.sentinel_master()
    expect(new != old, f"the Sentinels still name {old} after: {label}")
    if how == signal.SIGKILL:
        start_again(cluster, old)
    else:
        cluster.redis[old].signal(signal.SIGCONT)
    eventually(lambda: is_complete(cluster), f"the old master is a replica after: {label}", START)
    expect(stores(cluster, tool, "later"), f"larderd does not serve once the old master is back after: {label}")
    print(f"  failover: {label}: larderd served again after {away:.1f} s")
    return away


def start_again(cluster: Cluster, host: str) -> None:
    """What comes back must not think that it is the master, not even until the Sentinels correct it."""
    roles = roles_from_the_start(cluster, host)
    expect(roles == ["slave"], f"{host} came back as {roles[0]}")


def roles_from_the_start(cluster: Cluster, host: str) -> list[str]:
    """Starts the node again; what it says of itself as soon as it answers."""
    cluster.start_redis([cluster.addresses.redis(n) for n in range(3)].index(host))
    roles: list[str] = []

    def answers() -> bool:
        roles.extend(re.findall(r"role:(\w+)", cluster.redis_cli(host, REDIS_PORT, "INFO", "replication")))
        return bool(roles)

    eventually(answers, f"{host} answers after its start", START)
    return roles


def lose_master_and_sentinels(cluster: Cluster, tool: pathlib.Path, sentinels_first: bool) -> None:
    """Nobody answers who is the master: only the replicas know whom they wait for, and the first node is one."""
    order = "the Sentinels back first" if sentinels_first else "the master back first"
    label = f"master and Sentinels lost together, {order}"
    eventually(lambda: is_complete(cluster), f"a complete cluster before: {label}", START)
    (master,) = cluster.masters()
    first = cluster.addresses.redis(0)
    expect(master != first, f"the master is the first node before: {label}")
    for process in [*cluster.sentinels.values(), cluster.redis[master]]:
        process.stop()
    eventually(lambda: not cluster.is_ready("larder-redis", first), "a replica without a master is not ready", START)
    if not sentinels_first:
        roles = roles_from_the_start(cluster, master)
        expect(roles == ["master"], f"{master} came back as {roles[0]}, of one of its own replicas")
    for number in range(3):
        cluster.start_sentinel(number)
    if sentinels_first:
        eventually(lambda: cluster.sentinel_master() == {master}, f"the Sentinels name {master}: {label}", START)
        cluster.start_redis([cluster.addresses.redis(n) for n in range(3)].index(master))
    away = eventually(lambda: is_complete(cluster) and stores(cluster, tool, "both"), f"service after: {label}", START)
    print(f"  failover: {label}: larderd served again after {away:.1f} s")


def lose_sentinels(cluster: Cluster) -> None:
    """All of them begin anew, and have to learn from the nodes which one is the master."""
    (master,) = cluster.masters()
    for process in cluster.sentinels.values():
        process.stop()
    for number in range(3):
        cluster.start_sentinel(number)
    eventually(lambda: is_complete(cluster), "the Sentinels know the nodes after all of them were replaced", START)
    expect(cluster.sentinel_master() == {master}, "the Sentinels took another master when they were replaced")


def check_failover(overlay: Overlay, larderd: pathlib.Path, tool: pathlib.Path) -> None:
    """Raises CheckError, with the ends of all logs, if the service does not come back in time."""
    with Cluster(overlay, larderd) as cluster:
        try:
            eventually(lambda: stores(cluster, tool, "first"), "larderd serves through HAProxy", START)
            check_settings(cluster)
            fail_over(cluster, tool, signal.SIGKILL, "master killed")
            lose_sentinels(cluster)
            lose_master_and_sentinels(cluster, tool, sentinels_first=False)
            lose_master_and_sentinels(cluster, tool, sentinels_first=True)
            fail_over(cluster, tool, signal.SIGSTOP, "master hung")
        except CheckError as error:
            raise CheckError(f"{error}\n{cluster.logs()}") from error
