#ifndef LARDER_TESTS_UNIT_CONFIG_EVERY_FIELD_H_
#define LARDER_TESTS_UNIT_CONFIG_EVERY_FIELD_H_

namespace larder {

// Every field of the schema, each with a value that is not its default, but for each `password_file`, which does not
// go together with `password`.
inline constexpr char kEveryField[] = R"(grpc:
  listen: "[::1]:6000"
  threads: 3
  max_request_bytes: 32MiB
  max_response_bytes: 8MiB
  max_concurrent_streams: 500
  max_connection_age: 10m
  drain_timeout: 20s
  max_pipeline_operations: 100
  max_pipeline_bytes: 1MiB
operations:
  listen: 0.0.0.0:9000
near:
  capacity_bytes: 128MiB
  coherence: pubsub
  lease: 2s
  max_strong_waits: 500
store:
  embedded:
    capacity_bytes: 300MiB
  redis:
    url: redis://cache:6379
    user: larder
    password: "12345"
    database: 2
    prefix: shop:1
    connect_timeout: 2s
    operation_timeout: 100ms
    min_backoff: 10ms
    max_backoff: 5s
    max_pending: 1000
    connections: 3
    compress_from_bytes: 0
    journal_entries: 500
    tls:
      enabled: true
      ca_file: /etc/redis/ca.pem
      ca_path: /etc/redis/ca
      cert_file: /etc/redis/larder.pem
      key_file: /etc/redis/larder.key
      server_name: cache.example
    sentinel:
      user: watcher
      password: "67890"
defaults:
  enabled: true
  default_ttl: 2m
  max_ttl: 1d
  ttl_jitter: 0.1
  ttl_classes: {user: 10m, menu: 1h30m}
  max_key_bytes: 128
  max_value_bytes: 2MiB
  max_batch_keys: 100
  near_max_age: 500ms
  stale_for: 10m
  stale_if_error: 1h
  refresh_retry: 2s
  eager_refresh: 0.8
  absent_ttl: 5s
  lease: 20s
  max_wait: 3s
  max_waiters: 50
  max_tags: 16
  max_live_tags: 500
  max_live_patterns: 20
  on_store_loss: memory
  degraded_max_age: 5m
  entities:
    payment:
      patterns: ["*revenue*"]
    client:
      tags: ["client:{id}"]
  origin:
    target: localhost:1234
namespaces:
  shop:
    enabled: false
    default_ttl: 1m
    max_ttl: 2h
    ttl_jitter: 0
    ttl_classes: {user: 1m}
    max_key_bytes: 64
    max_value_bytes: 1000
    max_batch_keys: 10
    near_share: 0.5
    near_max_age: 0
    stale_for: 1m
    stale_if_error: 0
    refresh_retry: 1ms
    eager_refresh: 0
    absent_ttl: 1s
    lease: 100ms
    max_wait: 0
    max_waiters: 1
    max_tags: 0
    max_live_tags: 1
    max_live_patterns: 1
    on_store_loss: near_only
    degraded_max_age: 0
    entities:
      client:
        keys: ["client:{id}", c]
        tags:
          - client:{id}
          - of:{{{owner}}}
        patterns: ["clients:*"]
    origin:
      target: dns:///shop:50061
      soft_timeout: 100ms
      hard_timeout: 1s
      max_concurrent: 3
      batch_keys: 7
      batch_delay: 0
      max_queued: 9
      breaker_failures: 2
      breaker_pause: 10ms
    warm_jobs:
      menu:
        keys: [a, "b"]
        at_start: false
        every: 1h
        concurrency: 2
        max_per_second: 100
      list:
        prefix: "menu:"
        hold_readiness: 1m
      file:
        file: /etc/larder/warm.jsonl
      hot:
        hottest: 1000
  plain:
sweep:
  interval: 1s
  max_keys_per_second: 1000
  step_keys: 50
watch:
  buffer_events: 500
  max_watchers: 7
log:
  level: warning
  format: text
)";

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_CONFIG_EVERY_FIELD_H_
