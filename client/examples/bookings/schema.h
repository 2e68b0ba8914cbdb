// The tables, their indexes, and every query that the API runs.
#ifndef CLIENT_EXAMPLES_BOOKINGS_SCHEMA_H_
#define CLIENT_EXAMPLES_BOOKINGS_SCHEMA_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/examples/bookings/database.h"

namespace bookings {

// Days count from 1970-01-01, minutes from midnight, months are yyyymm. The database's today never changes, so that
// two runs see the same: Friday, 2025-11-28.
inline constexpr int64_t kToday = 20420;
int64_t MonthOf(int64_t day);

// appointments.status
inline constexpr int64_t kBooked = 0;
inline constexpr int64_t kCompleted = 1;
inline constexpr int64_t kMissed = 2;
inline constexpr int64_t kCancelled = 3;

extern const char kTables[];
// Made after the rows, which is quicker.
extern const char kIndexes[];

namespace sql {

// The one that every answer's version comes from.
inline constexpr std::string_view kVersion = "SELECT version FROM locations WHERE id = ?";
inline constexpr std::string_view kLocationName = "SELECT name FROM locations WHERE id = ?";
inline constexpr std::string_view kSettings = "SELECT name, value FROM settings WHERE location_id = ? ORDER BY name";
inline constexpr std::string_view kCatalogue =
    "SELECT id, category, name, minutes, price_cents FROM services WHERE location_id = ? ORDER BY category, name";

inline constexpr std::string_view kServiceOfLocation =
    "SELECT category, name, minutes, price_cents FROM services WHERE id = ? AND location_id = ?";

inline constexpr std::string_view kHours = "SELECT starts, ends FROM staff WHERE id = ? AND location_id = ?";
inline constexpr std::string_view kTaken =
    "SELECT start_minute, minutes FROM appointments WHERE staff_id = ? AND day = ? AND status <> 3 "
    "ORDER BY start_minute";

inline constexpr std::string_view kAppointmentsOfDay =
    "SELECT status, COUNT(*) FROM appointments WHERE location_id = ? AND day = ? GROUP BY status";
inline constexpr std::string_view kRevenueOfDay =
    "SELECT SUM(amount_cents) FROM transactions WHERE location_id = ? AND day = ?";
inline constexpr std::string_view kRevenueByMonth =
    "SELECT month, SUM(amount_cents) FILTER (WHERE amount_cents > 0), SUM(amount_cents) FILTER (WHERE amount_cents < "
    "0) "
    "FROM transactions WHERE location_id = ? AND month BETWEEN ? AND ? GROUP BY month ORDER BY month";
inline constexpr std::string_view kBestServices =
    "SELECT s.name, b.sold, b.revenue FROM (SELECT service_id, COUNT(*) AS sold, SUM(price_cents) AS revenue "
    "FROM appointments WHERE location_id = ? AND day BETWEEN ? AND ? AND status = 1 "
    "GROUP BY service_id ORDER BY revenue DESC, service_id LIMIT 5) AS b JOIN services AS s ON s.id = b.service_id "
    "ORDER BY b.revenue DESC, s.id";
inline constexpr std::string_view kStaffLoad =
    "SELECT s.name, l.appointments, l.minutes, l.missed FROM (SELECT staff_id, COUNT(*) AS appointments, "
    "SUM(minutes) AS minutes, SUM(status = 2) AS missed FROM appointments "
    "WHERE location_id = ? AND day BETWEEN ? AND ? AND status <> 3 GROUP BY staff_id) AS l "
    "JOIN staff AS s ON s.id = l.staff_id ORDER BY l.appointments DESC, s.id";
inline constexpr std::string_view kActiveCustomers =
    "SELECT COUNT(DISTINCT customer_id) FROM appointments WHERE location_id = ? AND day BETWEEN ? AND ? AND status = 1";
inline constexpr std::string_view kNewCustomers =
    "SELECT COUNT(*) FROM customers WHERE location_id = ? AND joined_day BETWEEN ? AND ?";

inline constexpr std::string_view kReport =
    "SELECT r.month, s.name, r.sold, r.revenue, r.refunds, r.refunded FROM (SELECT month, service_id, "
    "SUM(amount_cents > 0) AS sold, SUM(amount_cents) FILTER (WHERE amount_cents > 0) AS revenue, "
    "SUM(amount_cents < 0) AS refunds, SUM(amount_cents) FILTER (WHERE amount_cents < 0) AS refunded "
    "FROM transactions WHERE location_id = ? AND month BETWEEN ? AND ? GROUP BY month, service_id) AS r "
    "JOIN services AS s ON s.id = r.service_id ORDER BY r.month, s.id";

inline constexpr std::string_view kTransactions =
    "SELECT t.id, t.day, t.minute, t.amount_cents, s.name, c.name, c.email FROM transactions AS t "
    "JOIN services AS s ON s.id = t.service_id JOIN customers AS c ON c.id = t.customer_id "
    "WHERE t.location_id = ? ORDER BY t.day DESC, t.id DESC LIMIT ? OFFSET ?";
inline constexpr std::string_view kTransactionsTotal = "SELECT COUNT(*) FROM transactions WHERE location_id = ?";
inline constexpr std::string_view kMaySeeEmails = "SELECT may_see_emails FROM users WHERE id = ? AND location_id = ?";

inline constexpr std::string_view kService =
    "SELECT minutes, price_cents FROM services WHERE id = ? AND location_id = ?";
inline constexpr std::string_view kOverlap =
    "SELECT COUNT(*) FROM appointments WHERE staff_id = ? AND day = ? AND status <> 3 AND start_minute < ? "
    "AND start_minute + minutes > ? AND id <> ?";
inline constexpr std::string_view kInsertAppointment =
    "INSERT INTO appointments (location_id, staff_id, customer_id, service_id, day, start_minute, minutes, status, "
    "price_cents) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id";
inline constexpr std::string_view kInsertTransaction =
    "INSERT INTO transactions (location_id, appointment_id, customer_id, service_id, day, month, minute, amount_cents) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
inline constexpr std::string_view kAppointment =
    "SELECT staff_id, customer_id, service_id, day, minutes, status, price_cents FROM appointments "
    "WHERE id = ? AND location_id = ?";
inline constexpr std::string_view kMoveAppointment =
    "UPDATE appointments SET staff_id = ?, day = ?, start_minute = ? WHERE id = ?";
inline constexpr std::string_view kCancelAppointment = "UPDATE appointments SET status = 3 WHERE id = ?";
inline constexpr std::string_view kReprice =
    "UPDATE services SET price_cents = ? WHERE id = ? AND location_id = ? RETURNING id";
inline constexpr std::string_view kRename =
    "UPDATE customers SET name = ? WHERE id = ? AND location_id = ? RETURNING id";
inline constexpr std::string_view kGrant =
    "UPDATE users SET may_see_emails = ? WHERE id = ? AND location_id = ? RETURNING id";
inline constexpr std::string_view kNextVersion =
    "UPDATE locations SET version = version + 1 WHERE id = ? RETURNING version";

}  // namespace sql

// How the database goes about one query.
struct QueryPlan {
  std::string name;
  std::vector<std::string> steps;
  bool scans_a_table = false;  // reads all of some table, for want of an index
};

// Of every query and every WHERE above. INTERNAL if one cannot be planned.
absl::StatusOr<std::vector<QueryPlan>> ExplainAll(Connection& connection);

// Of one statement, under a name for people.
absl::StatusOr<QueryPlan> Explain(Connection& connection, std::string name, std::string_view sql);

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_SCHEMA_H_
