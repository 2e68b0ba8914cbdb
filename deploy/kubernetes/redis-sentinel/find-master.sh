# Sourced by the start scripts. Wants REDIS_NODES and SENTINELS, names parted by spaces, and REDISCLI_AUTH.

ask() { timeout 2 redis-cli -h "$1" -p "$2" --no-auth-warning "$3" "$4" ${5+"$5"} 2>/dev/null | tr -d '\r'; }

# Prints the master's name: what the Sentinels say; while none answers, the node that has replicas; at the very first
# start there is neither, and it is the first node.
find_master() {
  for sentinel in $SENTINELS; do
    found=$(ask "$sentinel" 26379 SENTINEL get-master-addr-by-name larder | head -n 1)
    case $found in '' | *' '*) ;; *) echo "$found" && return ;; esac
  done
  for node in $REDIS_NODES; do
    if ask "$node" 6379 INFO replication | grep -q '^connected_slaves:[1-9]'; then
      echo "$node" && return
    fi
  done
  echo "${REDIS_NODES%% *}"
}
