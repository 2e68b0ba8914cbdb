// A connection whose statements are counted.
#ifndef CLIENT_EXAMPLES_BOOKINGS_SQL_SESSION_H_
#define CLIENT_EXAMPLES_BOOKINGS_SQL_SESSION_H_

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "client/examples/bookings/database.h"

namespace bookings {

// For one thread at a time.
class SqlSession {
 public:
  // `counter` is not owned and must outlive this.
  SqlSession(Database::Lease lease, std::atomic<int64_t>* counter) : lease_(std::move(lease)), counter_(*counter) {}

  // For what is not counted.
  Connection& connection() { return *lease_; }

  absl::Status Run(std::string_view sql, std::initializer_list<Parameter> parameters,
                   absl::FunctionRef<void(const Row&)> each);
  absl::Status Run(std::string_view sql, std::initializer_list<Parameter> parameters);

  // NOT_FOUND, naming `what`, if there is no row.
  absl::Status RunForOne(std::string_view what, std::string_view sql, std::initializer_list<Parameter> parameters,
                         absl::FunctionRef<void(const Row&)> each);

 private:
  Database::Lease lease_;
  std::atomic<int64_t>& counter_;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_SQL_SESSION_H_
