// The endpoints by name, for what is counted by endpoint.
#ifndef CLIENT_EXAMPLES_BOOKINGS_ENDPOINT_H_
#define CLIENT_EXAMPLES_BOOKINGS_ENDPOINT_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bookings {

enum class Endpoint {
  kSettings,
  kCatalogue,
  kService,
  kAvailability,
  kDashboard,
  kReport,
  kTransactions,
  kBook,
  kReschedule,
  kRefund,
  kReprice,
  kRename,
  kGrant,
};

inline constexpr std::string_view kEndpointNames[] = {
    "settings", "catalogue",  "service", "availability", "dashboard", "report", "transactions",
    "book",     "reschedule", "refund",  "reprice",      "rename",    "grant",
};
inline constexpr size_t kEndpoints = std::size(kEndpointNames);
inline constexpr size_t kReadEndpoints = static_cast<size_t>(Endpoint::kBook);

constexpr size_t IndexOf(Endpoint endpoint) { return static_cast<size_t>(endpoint); }

// Thread-safe.
class EndpointCounters {
 public:
  std::atomic<int64_t>& operator[](Endpoint endpoint) { return counters_[IndexOf(endpoint)]; }

  std::array<int64_t, kEndpoints> Values() const {
    std::array<int64_t, kEndpoints> values{};
    for (size_t i = 0; i < kEndpoints; ++i) values[i] = counters_[i].load();
    return values;
  }

 private:
  std::array<std::atomic<int64_t>, kEndpoints> counters_{};
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_ENDPOINT_H_
