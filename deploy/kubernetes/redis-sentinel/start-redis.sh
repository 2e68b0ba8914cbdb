#!/bin/sh
# Starts Redis, as a replica unless it is the master. Runs at every start of the container, not once for the pod: the
# master may be another one by then. Wants NODE_HOST, and what find-master.sh wants; writes into the working directory.
set -eu
umask 077
here=$(dirname "$0")
REDISCLI_AUTH=$(cat "$REDIS_PASSWORD_FILE")
export REDISCLI_AUTH
. "$here/find-master.sh"

master=$(find_master)
{
  cat "$here/redis.conf"
  echo "requirepass $REDISCLI_AUTH"
  echo "masterauth $REDISCLI_AUTH"
  echo "replica-announce-ip $NODE_HOST"
  [ "$master" = "$NODE_HOST" ] || echo "replicaof $master 6379"
} >redis.conf
unset REDISCLI_AUTH
exec redis-server ./redis.conf
