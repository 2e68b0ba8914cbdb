// The two runs side by side.
#ifndef CLIENT_EXAMPLES_BOOKINGS_COMPARISON_H_
#define CLIENT_EXAMPLES_BOOKINGS_COMPARISON_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "client/examples/bookings/cached_bookings.h"
#include "client/examples/bookings/checker.h"
#include "client/examples/bookings/endpoint.h"
#include "client/examples/bookings/generator.h"
#include "client/examples/bookings/next_reads.h"
#include "client/examples/bookings/workload.h"

namespace bookings {

// One run of the mix.
struct Measured {
  WorkloadResult workload;
  std::array<int64_t, kEndpoints> queries{};
  Checker::Summary checks;
};

struct Comparison {
  int threads = 0;
  int cores = 0;
  Population population;
  Measured without_cache;
  // None: it ran without only.
  std::optional<Measured> with_cache;
  CachedBookings::Counts cache;
  // Reads that the near cache in this process answered, where it has one.
  int64_t near_hits = 0;
  NextReads next_reads;

  // Of the median; 0 if one of the two has none.
  double SpeedUp(Endpoint endpoint) const;
  // The share of all queries of the run, writes included, that the cache made unnecessary.
  double QueriesSaved() const;
  // Everything that was answered was right and none of it stale, and nothing failed.
  bool IsCorrect() const;

  std::string ToTable() const;
  std::string ToJson() const;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_COMPARISON_H_
