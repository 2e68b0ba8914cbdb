// The dashboard's queries.
#ifndef CLIENT_EXAMPLES_BOOKINGS_SQL_DASHBOARD_H_
#define CLIENT_EXAMPLES_BOOKINGS_SQL_DASHBOARD_H_

#include <cstdint>

#include "absl/status/status.h"
#include "client/examples/bookings/bookings.pb.h"
#include "client/examples/bookings/sql_session.h"

namespace bookings {

// Fills in all but the version.
absl::Status ReadDashboard(SqlSession& session, int64_t location, Dashboard& dashboard);

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_SQL_DASHBOARD_H_
