#include "client/examples/bookings/sql_session.h"

#include <string>

namespace bookings {

absl::Status SqlSession::Run(std::string_view sql, std::initializer_list<Parameter> parameters,
                             absl::FunctionRef<void(const Row&)> each) {
  counter_.fetch_add(1, std::memory_order_relaxed);
  return lease_->Run(sql, parameters, each);
}

absl::Status SqlSession::Run(std::string_view sql, std::initializer_list<Parameter> parameters) {
  return Run(sql, parameters, [](const Row&) {});
}

absl::Status SqlSession::RunForOne(std::string_view what, std::string_view sql,
                                   std::initializer_list<Parameter> parameters,
                                   absl::FunctionRef<void(const Row&)> each) {
  bool found = false;
  absl::Status status = Run(sql, parameters, [&](const Row& row) {
    found = true;
    each(row);
  });
  if (status.ok() && !found) return absl::NotFoundError("no such " + std::string(what));
  return status;
}

}  // namespace bookings
