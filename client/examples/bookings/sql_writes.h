// What each write does to the tables. Each runs within a transaction that is the caller's to end, and tells in
// `change` what is different afterwards, the version aside.
#ifndef CLIENT_EXAMPLES_BOOKINGS_SQL_WRITES_H_
#define CLIENT_EXAMPLES_BOOKINGS_SQL_WRITES_H_

#include "absl/status/status.h"
#include "client/examples/bookings/booking_service.h"
#include "client/examples/bookings/sql_session.h"

namespace bookings {

absl::Status WriteBooking(SqlSession& session, const Booking& booking, Change& change);
absl::Status WriteRescheduling(SqlSession& session, const Rescheduling& rescheduling, Change& change);
absl::Status WriteRefund(SqlSession& session, const Cancellation& cancellation, Change& change);
absl::Status WriteRepricing(SqlSession& session, const Repricing& repricing, Change& change);
absl::Status WriteRenaming(SqlSession& session, const Renaming& renaming, Change& change);
absl::Status WriteGrant(SqlSession& session, const Grant& grant, Change& change);

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_SQL_WRITES_H_
