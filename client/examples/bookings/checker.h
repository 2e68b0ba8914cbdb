// Looks for answers that are older than a write that had been acknowledged before they were asked for.
#ifndef CLIENT_EXAMPLES_BOOKINGS_CHECKER_H_
#define CLIENT_EXAMPLES_BOOKINGS_CHECKER_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "client/examples/bookings/booking_service.h"
#include "client/examples/bookings/endpoint.h"

namespace bookings {

// What a read is about: its endpoint, its location, and where the endpoint has them, the member of staff and the day,
// the service, the year, or the user.
struct Subject {
  Endpoint endpoint;
  int64_t location = 0;
  int64_t which = 0;
  int64_t day = 0;

  friend bool operator<(const Subject& a, const Subject& b) {
    return std::tie(a.endpoint, a.location, a.which, a.day) < std::tie(b.endpoint, b.location, b.which, b.day);
  }
};

// Every answer carries its location's version, every write makes a new one. So a reader who notes, before it asks, the
// version of the last acknowledged write to its subject can tell whether the answer is older than that. It holds for
// all readers of this process at any time, whoever in it writes meanwhile, and whoever loads: they, or the origin.
//
// Which subjects a write touches is written down here a second time, and by other means than in CachedBookings, whose
// mistakes it is to find. Thread-safe.
class Checker {
 public:
  struct Summary {
    int64_t checked = 0;        // reads
    int64_t after_a_write = 0;  // those of them whose subject had been written to
    int64_t stale = 0;
    std::vector<std::string> examples = {};  // of stale ones, a few
  };

  // The least version that a read of the subject that begins now must bring.
  int64_t Wanted(const Subject& subject) const;

  // A read that wanted `wanted` has brought `version`.
  void OnRead(const Subject& subject, int64_t wanted, int64_t version);

  // A write has been acknowledged to its caller.
  void OnWrite(const Change& change);

  Summary summary() const;

 private:
  mutable std::mutex mutex_;
  std::map<Subject, int64_t> written_;  // guarded by mutex_, as is the next one
  Summary summary_;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_CHECKER_H_
