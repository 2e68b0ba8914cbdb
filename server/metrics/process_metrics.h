#ifndef LARDER_SERVER_METRICS_PROCESS_METRICS_H_
#define LARDER_SERVER_METRICS_PROCESS_METRICS_H_

#include "server/metrics/metrics.h"

namespace larder {

// What Prometheus' own clients tell of a process, under the same names: `process_cpu_seconds_total`,
// `process_resident_memory_bytes`, `process_open_fds`, `process_max_fds` and `process_start_time_seconds`. Read from
// the operating system at each scrape; not a number where it does not tell. Once for each registry.
void AddProcessMetrics(Registry* registry);

}  // namespace larder

#endif  // LARDER_SERVER_METRICS_PROCESS_METRICS_H_
