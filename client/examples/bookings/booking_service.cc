#include "client/examples/bookings/booking_service.h"

#include <algorithm>

namespace bookings {

std::vector<int64_t> StartsForAnyService(const Availability& availability) {
  constexpr int32_t kSlot = 30;
  std::vector<int64_t> starts;
  for (const int32_t minute : availability.free_minutes()) {
    const auto& free = availability.free_minutes();
    if (std::find(free.begin(), free.end(), minute + kSlot) != free.end()) starts.push_back(minute);
  }
  return starts;
}

}  // namespace bookings
