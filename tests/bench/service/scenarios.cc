#include "tests/bench/service/scenarios.h"

namespace larder::bench {

const std::vector<Scenario>& AllScenarios() {
  static const auto& all = *new std::vector<Scenario>{
      {{"near_unary_vs_echo", "near_unary_vs_callback_echo"},
       "near hits, a Get a call, against an echo on completion queues and one on callbacks",
       &NearUnary},
      {{"near_p99_vs_echo"}, "open loop at 60 % of what the echo can do: the 99th percentiles", &NearTail},
      {{"h2load_vs_echo"}, "near hits against the echo, both driven by h2load -c 4 -m 64", &NearH2Load},
      {{"batch64_vs_redis_p64"}, "keys by BatchGet of 64 against redis-benchmark -P 64", &NearBatch},
      {{"pipeline_vs_redis_p16"},
       "single Gets over Pipeline, 1,024 under way on four streams, against redis-benchmark -P 16",
       &NearPipeline},
      {{"store_unary_vs_near", "store_vs_blocking"},
       "Gets answered from Redis against near hits, and against a service of 16 blocking connections",
       &StoreUnary},
      {{"store_fetch_vs_redis_p16"}, "the store in Redis without gRPC against redis-benchmark -P 16", &StoreAlone},
      {{"overload_goodput"},
       "twice of what a slow origin can load: values answered in time against the peak",
       &Overload},
      {{"overload_64KB"},
       "absolute: the same with near hits of 64 KB, which is twice what this machine can do",
       &OverloadLarge},
      {{"redis_benchmark"}, "absolute: redis-benchmark at -P 1, 16 and 64", &RedisAlone},
      {{"memcached"}, "absolute: memcached, 64 connections with 16 gets in a pipeline each", &MemcachedAlone},
      {{"mixes"}, "absolute: value sizes, Zipf exponents and shares of writes", &Mixes},
  };
  return all;
}

}  // namespace larder::bench
