// The booking API with a cache before its database.
#ifndef CLIENT_EXAMPLES_BOOKINGS_CACHED_BOOKINGS_H_
#define CLIENT_EXAMPLES_BOOKINGS_CACHED_BOOKINGS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "client/examples/bookings/booking_service.h"
#include "client/examples/bookings/endpoint.h"
#include "client/examples/bookings/sql_bookings.h"
#include "larder/cache.h"

namespace bookings {

// What a write may be told not to invalidate, so that a checker can be seen to find it.
enum class Forgotten { kNothing, kAvailability, kDashboard, kReport, kTransactions };

struct CachedBookingsOptions {
  // Of every key; two databases behind one cache need two.
  std::string key_prefix = "bookings";
  Forgotten forgotten = Forgotten::kNothing;
};

// Reads through the cache; writes to the database, then invalidates what that made stale, before it answers.
// Thread-safe.
class CachedBookings final : public BookingService {
 public:
  struct Counts {
    std::array<int64_t, kEndpoints> hits{};
    std::array<int64_t, kEndpoints> misses{};  // loaded, by this caller or by one who was quicker
    int64_t failed_reads = 0;                  // of the cache, each of which became a miss
    int64_t failed_fills = 0;
    int64_t failed_invalidations = 0;
  };

  // Neither is owned; both must outlive this.
  CachedBookings(larder::Cache* cache, SqlBookings* database, CachedBookingsOptions options);

  absl::StatusOr<Settings> GetSettings(int64_t location) override;
  absl::StatusOr<Catalogue> GetCatalogue(int64_t location) override;
  absl::StatusOr<Availability> GetAvailability(const StaffDay& when) override;
  absl::StatusOr<Dashboard> GetDashboard(int64_t location) override;
  absl::StatusOr<Report> GetReport(int64_t location, int64_t year) override;
  absl::StatusOr<TransactionsPage> GetTransactions(const TransactionsQuery& query) override;

  absl::StatusOr<Change> Book(const Booking& booking) override;
  absl::StatusOr<Change> Reschedule(const Rescheduling& rescheduling) override;
  absl::StatusOr<Change> Refund(const Cancellation& cancellation) override;

  Counts counts() const;

 private:
  std::string LocationKey(std::string_view what, int64_t location) const;
  std::string AvailabilityKey(const StaffDay& when) const;
  std::string ReportKey(int64_t location, int64_t year) const;
  std::string PageKey(const TransactionsQuery& query, int64_t generation) const;

  std::vector<std::string> StaleAfter(const Change& change) const;

  template <typename Answer, typename Loader>
  absl::StatusOr<Answer> Read(Endpoint endpoint, const std::string& key, const char* ttl_class, Loader loader);
  absl::StatusOr<Change> Write(absl::FunctionRef<absl::StatusOr<Change>()> write);

  larder::Cache& cache_;
  SqlBookings& database_;
  const CachedBookingsOptions options_;

  EndpointCounters hits_;
  EndpointCounters misses_;
  std::atomic<int64_t> failed_reads_{0};
  std::atomic<int64_t> failed_fills_{0};
  std::atomic<int64_t> failed_invalidations_{0};
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_CACHED_BOOKINGS_H_
