#!/bin/sh
# Starts Sentinel. Wants NODE_HOST, and what find-master.sh wants; writes into the working directory.
set -eu
umask 077
REDISCLI_AUTH=$(cat "$REDIS_PASSWORD_FILE")
export REDISCLI_AUTH
. "$(dirname "$0")/find-master.sh"

master=$(find_master)
# Sentinel does not start with a name that nobody knows yet.
until getent ahosts "$master" >/dev/null; do sleep 1; done

# The identity comes from the name, so that a pod that is replaced is not counted as one more Sentinel, which would
# raise what a majority is.
identity=$(printf %s "$NODE_HOST" | sha1sum | cut -c 1-40)
cat >sentinel.conf <<END
port 26379
protected-mode no
requirepass $REDISCLI_AUTH
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $NODE_HOST
sentinel myid $identity
sentinel monitor larder $master 6379 2
sentinel auth-pass larder $REDISCLI_AUTH
sentinel down-after-milliseconds larder 3000
sentinel failover-timeout larder 10000
sentinel parallel-syncs larder 2
END
unset REDISCLI_AUTH
exec redis-server ./sentinel.conf --sentinel
