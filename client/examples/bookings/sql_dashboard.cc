#include "client/examples/bookings/sql_dashboard.h"

#include "client/examples/bookings/schema.h"

namespace bookings {
namespace {

constexpr int64_t kLast90Days = kToday - 90;
constexpr int64_t kLast30Days = kToday - 30;

absl::Status ReadToday(SqlSession& session, int64_t location, Dashboard::Today& today) {
  absl::Status status = session.Run(sql::kAppointmentsOfDay, {location, kToday}, [&today](const Row& row) {
    const int32_t count = row.Int32(1);
    switch (row.Int(0)) {
      case kBooked:
        today.set_booked(count);
        break;
      case kCompleted:
        today.set_completed(count);
        break;
      case kMissed:
        today.set_missed(count);
        break;
      default:
        today.set_cancelled(count);
        break;
    }
  });
  if (!status.ok()) return status;
  return session.Run(sql::kRevenueOfDay, {location, kToday},
                     [&today](const Row& row) { today.set_revenue_cents(row.Int(0)); });
}

absl::Status ReadMonths(SqlSession& session, int64_t location, Dashboard& dashboard) {
  const int64_t month = MonthOf(kToday);
  const int64_t first = month % 100 == 12 ? month - 11 : month - 99;  // eleven months before
  return session.Run(sql::kRevenueByMonth, {location, first, month}, [&dashboard](const Row& row) {
    Dashboard::Month& sums = *dashboard.add_months();
    sums.set_month(row.Int32(0));
    sums.set_revenue_cents(row.Int(1));
    sums.set_refunded_cents(row.Int(2));
  });
}

absl::Status ReadServices(SqlSession& session, int64_t location, Dashboard& dashboard) {
  return session.Run(sql::kBestServices, {location, kLast90Days, kToday}, [&dashboard](const Row& row) {
    Dashboard::Service& service = *dashboard.add_best_services();
    service.set_name(row.Text(0));
    service.set_sold(row.Int32(1));
    service.set_revenue_cents(row.Int(2));
  });
}

absl::Status ReadStaff(SqlSession& session, int64_t location, Dashboard& dashboard) {
  return session.Run(sql::kStaffLoad, {location, kLast90Days, kToday}, [&dashboard](const Row& row) {
    Dashboard::Staff& staff = *dashboard.add_staff();
    staff.set_name(row.Text(0));
    staff.set_appointments(row.Int32(1));
    staff.set_minutes(row.Int32(2));
    staff.set_missed(row.Int32(3));
  });
}

absl::Status ReadCustomers(SqlSession& session, int64_t location, Dashboard& dashboard) {
  absl::Status status = session.Run(sql::kActiveCustomers, {location, kLast90Days, kToday},
                                    [&](const Row& row) { dashboard.set_active_customers(row.Int32(0)); });
  if (!status.ok()) return status;
  return session.Run(sql::kNewCustomers, {location, kLast30Days, kToday},
                     [&dashboard](const Row& row) { dashboard.set_new_customers(row.Int32(0)); });
}

}  // namespace

absl::Status ReadDashboard(SqlSession& session, int64_t location, Dashboard& dashboard) {
  absl::Status status = ReadToday(session, location, *dashboard.mutable_today());
  if (status.ok()) status = ReadMonths(session, location, dashboard);
  if (status.ok()) status = ReadServices(session, location, dashboard);
  if (status.ok()) status = ReadStaff(session, location, dashboard);
  if (status.ok()) status = ReadCustomers(session, location, dashboard);
  return status;
}

}  // namespace bookings
