#include "client/examples/bookings/schema.h"

#include <chrono>
#include <utility>

namespace bookings {
namespace {

struct NamedQuery {
  const char* name;
  std::string_view sql;
};

constexpr NamedQuery kQueries[] = {
    {"version", sql::kVersion},
    {"settings: location", sql::kLocationName},
    {"settings", sql::kSettings},
    {"catalogue", sql::kCatalogue},
    {"service", sql::kServiceOfLocation},
    {"availability: hours", sql::kHours},
    {"availability: taken", sql::kTaken},
    {"dashboard: appointments of the day", sql::kAppointmentsOfDay},
    {"dashboard: revenue of the day", sql::kRevenueOfDay},
    {"dashboard: revenue by month", sql::kRevenueByMonth},
    {"dashboard: best services", sql::kBestServices},
    {"dashboard: load of the staff", sql::kStaffLoad},
    {"dashboard: active customers", sql::kActiveCustomers},
    {"dashboard: new customers", sql::kNewCustomers},
    {"report", sql::kReport},
    {"transactions: page", sql::kTransactions},
    {"transactions: total", sql::kTransactionsTotal},
    {"transactions: right", sql::kMaySeeEmails},
    {"write: service", sql::kService},
    {"write: overlap", sql::kOverlap},
    {"write: appointment", sql::kAppointment},
    {"write: move", sql::kMoveAppointment},
    {"write: cancel", sql::kCancelAppointment},
    {"write: price", sql::kReprice},
    {"write: name", sql::kRename},
    {"write: right", sql::kGrant},
    {"write: version", sql::kNextVersion},
};

// "SCAN b" of a subquery's few rows is none of a table; those have the aliases b, l and r.
bool ScansTable(std::string_view step) {
  if (!step.starts_with("SCAN ")) return false;
  const std::string_view what = step.substr(5);
  return what != "b" && what != "l" && what != "r" && what != "CONSTANT ROW" && !what.starts_with("(subquery");
}

}  // namespace

const char kTables[] = R"(
CREATE TABLE locations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE users (id INTEGER PRIMARY KEY, location_id INTEGER NOT NULL, may_see_emails INTEGER NOT NULL);
CREATE TABLE settings (
  location_id INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (location_id, name)) WITHOUT ROWID;
CREATE TABLE services (
  id INTEGER PRIMARY KEY, location_id INTEGER NOT NULL, category TEXT NOT NULL, name TEXT NOT NULL,
  minutes INTEGER NOT NULL, price_cents INTEGER NOT NULL);
CREATE TABLE staff (
  id INTEGER PRIMARY KEY, location_id INTEGER NOT NULL, name TEXT NOT NULL, starts INTEGER NOT NULL,
  ends INTEGER NOT NULL);
CREATE TABLE customers (
  id INTEGER PRIMARY KEY, location_id INTEGER NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL,
  joined_day INTEGER NOT NULL);
CREATE TABLE appointments (
  id INTEGER PRIMARY KEY, location_id INTEGER NOT NULL, staff_id INTEGER NOT NULL, customer_id INTEGER NOT NULL,
  service_id INTEGER NOT NULL, day INTEGER NOT NULL, start_minute INTEGER NOT NULL, minutes INTEGER NOT NULL,
  status INTEGER NOT NULL, price_cents INTEGER NOT NULL);
CREATE TABLE transactions (
  id INTEGER PRIMARY KEY, location_id INTEGER NOT NULL, appointment_id INTEGER NOT NULL, customer_id INTEGER NOT NULL,
  service_id INTEGER NOT NULL, day INTEGER NOT NULL, month INTEGER NOT NULL, minute INTEGER NOT NULL,
  amount_cents INTEGER NOT NULL);
)";

// Whatever reads many rows finds all it wants in its index, in the order in which it groups where that can be.
const char kIndexes[] = R"(
CREATE INDEX services_of_location ON services (location_id, category, name, minutes, price_cents);
CREATE INDEX staff_of_location ON staff (location_id);
CREATE INDEX customers_by_joining ON customers (location_id, joined_day);
CREATE INDEX appointments_of_staff ON appointments (staff_id, day, start_minute, minutes, status);
CREATE INDEX appointments_of_location ON appointments (
  location_id, day, status, service_id, staff_id, minutes, price_cents, customer_id);
CREATE INDEX transactions_of_location ON transactions (location_id, day);
CREATE INDEX transactions_by_month ON transactions (location_id, month, service_id, amount_cents);
ANALYZE;
)";

int64_t MonthOf(int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  return static_cast<int>(date.year()) * 100 + static_cast<int64_t>(static_cast<unsigned>(date.month()));
}

absl::StatusOr<QueryPlan> Explain(Connection& connection, std::string name, std::string_view sql) {
  QueryPlan plan;
  plan.name = std::move(name);
  absl::Status status = connection.Run("EXPLAIN QUERY PLAN " + std::string(sql), {}, [&plan](const Row& row) {
    plan.steps.push_back(row.Text(3));
    plan.scans_a_table |= ScansTable(plan.steps.back());
  });
  if (!status.ok()) return status;
  return plan;
}

absl::StatusOr<std::vector<QueryPlan>> ExplainAll(Connection& connection) {
  std::vector<QueryPlan> plans;
  for (const NamedQuery& query : kQueries) {
    absl::StatusOr<QueryPlan> plan = Explain(connection, query.name, query.sql);
    if (!plan.ok()) return plan.status();
    plans.push_back(*std::move(plan));
  }
  return plans;
}

}  // namespace bookings
