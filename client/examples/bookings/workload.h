// What a day's users do to the booking API.
#ifndef CLIENT_EXAMPLES_BOOKINGS_WORKLOAD_H_
#define CLIENT_EXAMPLES_BOOKINGS_WORKLOAD_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "client/examples/bookings/booking_service.h"
#include "client/examples/bookings/endpoint.h"
#include "client/examples/bookings/generator.h"

namespace bookings {

struct WorkloadOptions {
  int64_t operations = 0;  // over all threads
  int threads = 0;
  uint64_t seed = 0;
};

struct WorkloadResult {
  std::array<std::vector<int64_t>, kEndpoints> nanoseconds;  // of each call, sorted
  int64_t lost = 0;                                          // writes that somebody else was quicker than
  int64_t failed = 0;                                        // calls that ended otherwise than they should
  std::string first_failure;
  double seconds = 0;
};

// Runs the mix against `service`: 98 % reads, few locations, days and pages much more asked for than the others, and
// users who look at the calendar before they book, and who move or cancel what they booked; now and then
// a price, a name or a right changes. Each thread takes the same
// decisions for the same seed.
WorkloadResult RunWorkload(BookingService& service, const Population& population, const WorkloadOptions& options);

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_WORKLOAD_H_
