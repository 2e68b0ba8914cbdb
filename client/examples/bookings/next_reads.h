// After each kind of write, is the very next read right?
#ifndef CLIENT_EXAMPLES_BOOKINGS_NEXT_READS_H_
#define CLIENT_EXAMPLES_BOOKINGS_NEXT_READS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "client/examples/bookings/booking_service.h"
#include "client/examples/bookings/generator.h"

namespace bookings {

struct NextReads {
  int64_t writes = 0;
  int64_t compared = 0;            // answers
  std::vector<std::string> wrong;  // what differed
};

// Books, moves and cancels `rounds` appointments through `cached`, and changes a price, a name and a right, one after
// another, while nobody else writes. Before each write it reads what that will touch, so that it is cached; after it,
// it reads it again and compares all of it with what `database` answers.
NextReads CheckNextReads(BookingService& cached, BookingService& database, const Population& population, int rounds);

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_NEXT_READS_H_
