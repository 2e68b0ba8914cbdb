#include "server/origin/origin_metrics.h"

namespace larder {
namespace {

Counter& Calls(Registry& registry, const std::string& name_space, const char* result) {
  return registry.AddCounter("cache_origin_calls_total", "Load calls of the origin, by how they ended.",
                             {{"namespace", name_space}, {"result", result}});
}

Counter& Keys(Registry& registry, const std::string& name_space, const char* result) {
  return registry.AddCounter("cache_origin_keys_total", "Keys that the origin was asked for, by what became of them.",
                             {{"namespace", name_space}, {"result", result}});
}

}  // namespace

OriginMetrics::OriginMetrics(Registry& registry, const std::string& name_space)
    : calls_ok(Calls(registry, name_space, "ok")),
      calls_failed(Calls(registry, name_space, "failed")),
      calls_timed_out(Calls(registry, name_space, "timeout")),
      calls_invalid(Calls(registry, name_space, "invalid")),
      keys_value(Keys(registry, name_space, "value")),
      keys_absent(Keys(registry, name_space, "absent")),
      keys_error(Keys(registry, name_space, "error")),
      keys_failed(Keys(registry, name_space, "failed")),
      call_latency(registry.AddHistogram("cache_origin_call_seconds", "Time that a Load call of the origin took.",
                                         {{"namespace", name_space}})),
      gauges_(std::make_shared<Gauges>()) {
  registry.AddGauge("cache_origin_queued", "Loads that wait for a call of the origin.", {{"namespace", name_space}},
                    [gauges = gauges_] { return static_cast<double>(gauges->queued.load(std::memory_order_relaxed)); });
  registry.AddGauge("cache_origin_breaker_state",
                    "Whether calls are made to the origin: 0 they are, 1 one call is trying it, 2 it is left alone.",
                    {{"namespace", name_space}}, [gauges = gauges_] {
                      return static_cast<double>(gauges->breaker.load(std::memory_order_relaxed));
                    });
}

}  // namespace larder
