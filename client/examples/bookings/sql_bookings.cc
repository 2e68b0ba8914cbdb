#include "client/examples/bookings/sql_bookings.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "client/examples/bookings/schema.h"
#include "client/examples/bookings/sql_dashboard.h"
#include "client/examples/bookings/sql_session.h"
#include "client/examples/bookings/sql_writes.h"

namespace bookings {
namespace {

constexpr int64_t kSlot = 30;

struct Span {
  int64_t starts = 0;
  int64_t ends = 0;
};

void AddFreeSlots(const Span& hours, const std::vector<Span>& taken, Availability& answer) {
  for (int64_t minute = hours.starts; minute + kSlot <= hours.ends; minute += kSlot) {
    const bool is_free = std::none_of(taken.begin(), taken.end(), [minute](const Span& span) {
      return span.starts < minute + kSlot && minute < span.ends;
    });
    if (is_free) answer.add_free_minutes(static_cast<int32_t>(minute));
  }
}

}  // namespace

template <typename Answer>
absl::StatusOr<Answer> SqlBookings::Read(Endpoint endpoint, int64_t location,
                                         absl::FunctionRef<absl::Status(SqlSession&, Answer&)> read) {
  absl::StatusOr<Database::Lease> lease = database_.Connect();
  if (!lease.ok()) return lease.status();
  SqlSession session(*std::move(lease), &queries_[endpoint]);
  absl::StatusOr<Transaction> transaction = Transaction::Begin(session.connection(), Transaction::Kind::kRead);
  if (!transaction.ok()) return transaction.status();
  Answer answer;
  absl::Status status = session.connection().Run(sql::kVersion, {location},
                                                 [&answer](const Row& row) { answer.set_version(row.Int(0)); });
  if (status.ok() && answer.version() == 0) status = absl::NotFoundError("no such location");
  if (status.ok()) status = read(session, answer);
  if (status.ok()) status = transaction->Commit();
  if (!status.ok()) return status;
  return answer;
}

absl::StatusOr<Change> SqlBookings::Write(Endpoint endpoint, int64_t location,
                                          absl::FunctionRef<absl::Status(SqlSession&, Change&)> write) {
  const std::lock_guard<std::mutex> lock(database_.write_mutex());
  absl::StatusOr<Database::Lease> lease = database_.Connect();
  if (!lease.ok()) return lease.status();
  SqlSession session(*std::move(lease), &queries_[endpoint]);
  absl::StatusOr<Transaction> transaction = Transaction::Begin(session.connection(), Transaction::Kind::kWrite);
  if (!transaction.ok()) return transaction.status();
  Change change;
  change.location = location;
  absl::Status status = write(session, change);
  if (status.ok()) {
    status = session.RunForOne("location", sql::kNextVersion, {location},
                               [&change](const Row& row) { change.version = row.Int(0); });
  }
  if (status.ok()) status = transaction->Commit();
  if (!status.ok()) return status;
  return change;
}

absl::StatusOr<Settings> SqlBookings::GetSettings(int64_t location) {
  return Read<Settings>(Endpoint::kSettings, location, [&](SqlSession& session, Settings& answer) {
    absl::Status status =
        session.Run(sql::kLocationName, {location}, [&answer](const Row& row) { answer.set_location(row.Text(0)); });
    if (!status.ok()) return status;
    return session.Run(sql::kSettings, {location}, [&answer](const Row& row) {
      Settings::Setting& setting = *answer.add_settings();
      setting.set_name(row.Text(0));
      setting.set_value(row.Text(1));
    });
  });
}

absl::StatusOr<Catalogue> SqlBookings::GetCatalogue(int64_t location) {
  return Read<Catalogue>(Endpoint::kCatalogue, location, [&](SqlSession& session, Catalogue& answer) {
    return session.Run(sql::kCatalogue, {location}, [&answer](const Row& row) {
      Catalogue::Service& service = *answer.add_services();
      service.set_id(row.Int(0));
      service.set_category(row.Text(1));
      service.set_name(row.Text(2));
      service.set_minutes(row.Int32(3));
      service.set_price_cents(row.Int(4));
    });
  });
}

absl::StatusOr<Service> SqlBookings::GetService(const ServiceOfLocation& which) {
  return Read<Service>(Endpoint::kService, which.location, [&](SqlSession& session, Service& answer) {
    return session.RunForOne("service", sql::kServiceOfLocation, {which.service, which.location}, [&](const Row& row) {
      answer.set_category(row.Text(0));
      answer.set_name(row.Text(1));
      answer.set_minutes(row.Int32(2));
      answer.set_price_cents(row.Int(3));
    });
  });
}

absl::StatusOr<Availability> SqlBookings::GetAvailability(const StaffDay& when) {
  return Read<Availability>(Endpoint::kAvailability, when.location, [&](SqlSession& session, Availability& answer) {
    Span hours;
    absl::Status status =
        session.RunForOne("member of staff", sql::kHours, {when.staff, when.location}, [&hours](const Row& row) {
          hours = {row.Int(0), row.Int(1)};
        });
    if (!status.ok()) return status;
    std::vector<Span> taken;
    status = session.Run(sql::kTaken, {when.staff, when.day}, [&taken](const Row& row) {
      taken.push_back({row.Int(0), row.Int(0) + row.Int(1)});
    });
    AddFreeSlots(hours, taken, answer);
    return status;
  });
}

absl::StatusOr<Report> SqlBookings::GetReport(int64_t location, int64_t year) {
  return Read<Report>(Endpoint::kReport, location, [&](SqlSession& session, Report& answer) {
    return session.Run(sql::kReport, {location, year * 100 + 1, year * 100 + 12}, [&answer](const Row& row) {
      Report::Line& line = *answer.add_lines();
      line.set_month(row.Int32(0));
      line.set_service(row.Text(1));
      line.set_sold(row.Int32(2));
      line.set_revenue_cents(row.Int(3));
      line.set_refunds(row.Int32(4));
      line.set_refunded_cents(row.Int(5));
    });
  });
}

absl::StatusOr<TransactionsPage> SqlBookings::GetTransactions(const TransactionsQuery& query) {
  return Read<TransactionsPage>(
      Endpoint::kTransactions, query.location, [&](SqlSession& session, TransactionsPage& answer) {
        bool may_see_emails = false;
        absl::Status status = session.RunForOne("user", sql::kMaySeeEmails, {query.user, query.location},
                                                [&](const Row& row) { may_see_emails = row.Int(0) != 0; });
        if (!status.ok()) return status;
        status = session.Run(sql::kTransactionsTotal, {query.location},
                             [&answer](const Row& row) { answer.set_total(row.Int(0)); });
        if (!status.ok()) return status;
        return session.Run(sql::kTransactions,
                           {query.location, kTransactionsPerPage, query.page * kTransactionsPerPage},
                           [&answer, may_see_emails](const Row& row) {
                             TransactionsPage::Transaction& transaction = *answer.add_transactions();
                             transaction.set_id(row.Int(0));
                             transaction.set_day(row.Int32(1));
                             transaction.set_minute(row.Int32(2));
                             transaction.set_amount_cents(row.Int(3));
                             transaction.set_service(row.Text(4));
                             transaction.set_customer(row.Text(5));
                             if (may_see_emails) transaction.set_email(row.Text(6));
                           });
      });
}

absl::StatusOr<Dashboard> SqlBookings::GetDashboard(int64_t location) {
  return Read<Dashboard>(Endpoint::kDashboard, location, [&](SqlSession& session, Dashboard& answer) {
    return ReadDashboard(session, location, answer);
  });
}

absl::StatusOr<Change> SqlBookings::Book(const Booking& booking) {
  return Write(Endpoint::kBook, booking.when.location,
               [&](SqlSession& session, Change& change) { return WriteBooking(session, booking, change); });
}

absl::StatusOr<Change> SqlBookings::Reschedule(const Rescheduling& rescheduling) {
  return Write(Endpoint::kReschedule, rescheduling.when.location,
               [&](SqlSession& session, Change& change) { return WriteRescheduling(session, rescheduling, change); });
}

absl::StatusOr<Change> SqlBookings::Refund(const Cancellation& cancellation) {
  return Write(Endpoint::kRefund, cancellation.location,
               [&](SqlSession& session, Change& change) { return WriteRefund(session, cancellation, change); });
}

absl::StatusOr<Change> SqlBookings::Reprice(const Repricing& repricing) {
  return Write(Endpoint::kReprice, repricing.what.location,
               [&](SqlSession& session, Change& change) { return WriteRepricing(session, repricing, change); });
}

absl::StatusOr<Change> SqlBookings::Rename(const Renaming& renaming) {
  return Write(Endpoint::kRename, renaming.location,
               [&](SqlSession& session, Change& change) { return WriteRenaming(session, renaming, change); });
}

absl::StatusOr<Change> SqlBookings::SetGrant(const Grant& grant) {
  return Write(Endpoint::kGrant, grant.location,
               [&](SqlSession& session, Change& change) { return WriteGrant(session, grant, change); });
}

}  // namespace bookings
