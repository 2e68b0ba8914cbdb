// The endpoints of the booking API.
#ifndef CLIENT_EXAMPLES_BOOKINGS_BOOKING_SERVICE_H_
#define CLIENT_EXAMPLES_BOOKINGS_BOOKING_SERVICE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/examples/bookings/bookings.pb.h"

namespace bookings {

struct StaffDay {
  int64_t location = 0;
  int64_t staff = 0;
  int64_t day = 0;
};

struct ServiceOfLocation {
  int64_t location = 0;
  int64_t service = 0;
};

// No service takes longer than two of the half hours that Availability counts in.
std::vector<int64_t> StartsForAnyService(const Availability& availability);

struct TransactionsQuery {
  int64_t location = 0;
  int64_t user = 0;  // who looks; some may not see customers' addresses
  int64_t page = 0;  // from 0, kTransactionsPerPage each
};
inline constexpr int64_t kTransactionsPerPage = 25;

struct Booking {
  StaffDay when;
  int64_t minute = 0;
  int64_t service = 0;
  int64_t customer = 0;
};

struct Rescheduling {
  int64_t appointment = 0;
  StaffDay when;  // the new one
  int64_t minute = 0;
};

struct Cancellation {
  int64_t location = 0;
  int64_t appointment = 0;
};

struct Repricing {
  ServiceOfLocation what;
  int64_t price_cents = 0;
};

struct Renaming {
  int64_t location = 0;
  int64_t client = 0;
  std::string name;
};

// Whether a user may see clients' addresses.
struct Grant {
  int64_t location = 0;
  int64_t user = 0;
  bool may_see_emails = false;
};

// What a write has changed.
struct Change {
  int64_t location = 0;
  int64_t version = 0;         // the location's, from this write on
  int64_t appointment = 0;     // which it was about, if it was about one
  std::vector<StaffDay> days;  // whose calendars are different now: of a move the old one and the new one
  bool money_moved = false;    // there is a new transaction, of today
  int64_t service = 0;         // which is different now; 0: none, as in the next two
  int64_t client = 0;
  int64_t user = 0;
  // False: it has happened, but readers may go on seeing what was before, for a while.
  bool is_visible = true;
};

// Reads see all that this process has visibly written before them; of what other processes write a cache may be a
// moment behind, see `near_max_age`. Thread-safe; calls block.
//   NOT_FOUND            there is no such location, member of staff, appointment, service …
//   ABORTED              somebody else was quicker: the time is taken, or the appointment is cancelled already
class BookingService {
 public:
  virtual ~BookingService() = default;

  virtual absl::StatusOr<Settings> GetSettings(int64_t location) = 0;
  virtual absl::StatusOr<Catalogue> GetCatalogue(int64_t location) = 0;
  virtual absl::StatusOr<Service> GetService(const ServiceOfLocation& which) = 0;
  virtual absl::StatusOr<Availability> GetAvailability(const StaffDay& when) = 0;
  virtual absl::StatusOr<Dashboard> GetDashboard(int64_t location) = 0;
  virtual absl::StatusOr<Report> GetReport(int64_t location, int64_t year) = 0;
  virtual absl::StatusOr<TransactionsPage> GetTransactions(const TransactionsQuery& query) = 0;

  virtual absl::StatusOr<Change> Book(const Booking& booking) = 0;
  virtual absl::StatusOr<Change> Reschedule(const Rescheduling& rescheduling) = 0;
  // Cancels the appointment and pays its price back.
  virtual absl::StatusOr<Change> Refund(const Cancellation& cancellation) = 0;
  virtual absl::StatusOr<Change> Reprice(const Repricing& repricing) = 0;
  virtual absl::StatusOr<Change> Rename(const Renaming& renaming) = 0;
  virtual absl::StatusOr<Change> SetGrant(const Grant& grant) = 0;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_BOOKING_SERVICE_H_
