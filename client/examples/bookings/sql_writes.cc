#include "client/examples/bookings/sql_writes.h"

#include "client/examples/bookings/schema.h"

namespace bookings {
namespace {

constexpr int64_t kNow = 12 * 60;  // of today

struct Appointment {
  int64_t staff = 0;
  int64_t customer = 0;
  int64_t service = 0;
  int64_t day = 0;
  int64_t minutes = 0;
  int64_t status = 0;
  int64_t price_cents = 0;
};

// ABORTED if it is cancelled.
absl::Status Read(SqlSession& session, int64_t id, int64_t location, Appointment& appointment) {
  absl::Status status = session.RunForOne("appointment", sql::kAppointment, {id, location}, [&](const Row& row) {
    appointment = {row.Int(0), row.Int(1), row.Int(2), row.Int(3), row.Int(4), row.Int(5), row.Int(6)};
  });
  if (status.ok() && appointment.status == kCancelled) return absl::AbortedError("the appointment is cancelled");
  return status;
}

// ABORTED if another appointment than `own` lies there.
absl::Status CheckFree(SqlSession& session, const StaffDay& when, int64_t minute, int64_t minutes, int64_t own) {
  bool taken = false;
  absl::Status status = session.Run(sql::kOverlap, {when.staff, when.day, minute + minutes, minute, own},
                                    [&taken](const Row& row) { taken = row.Int(0) != 0; });
  if (status.ok() && taken) return absl::AbortedError("the time is taken");
  return status;
}

absl::Status Pay(SqlSession& session, int64_t location, int64_t id, int64_t customer, int64_t service, int64_t cents) {
  return session.Run(sql::kInsertTransaction, {location, id, customer, service, kToday, MonthOf(kToday), kNow, cents});
}

}  // namespace

absl::Status WriteBooking(SqlSession& session, const Booking& booking, Change& change) {
  int64_t minutes = 0;
  int64_t price_cents = 0;
  absl::Status status =
      session.RunForOne("service", sql::kService, {booking.service, booking.when.location}, [&](const Row& row) {
        minutes = row.Int(0);
        price_cents = row.Int(1);
      });
  if (status.ok()) status = CheckFree(session, booking.when, booking.minute, minutes, 0);
  if (!status.ok()) return status;
  const StaffDay& when = booking.when;
  status = session.Run(sql::kInsertAppointment,
                       {when.location, when.staff, booking.customer, booking.service, when.day, booking.minute, minutes,
                        kBooked, price_cents},
                       [&change](const Row& row) { change.appointment = row.Int(0); });
  if (!status.ok()) return status;
  change.days = {when};
  change.money_moved = true;
  return Pay(session, when.location, change.appointment, booking.customer, booking.service, price_cents);
}

absl::Status WriteRescheduling(SqlSession& session, const Rescheduling& rescheduling, Change& change) {
  const StaffDay& when = rescheduling.when;
  Appointment appointment;
  absl::Status status = Read(session, rescheduling.appointment, when.location, appointment);
  if (status.ok()) {
    status = CheckFree(session, when, rescheduling.minute, appointment.minutes, rescheduling.appointment);
  }
  if (!status.ok()) return status;
  change.appointment = rescheduling.appointment;
  change.days = {{when.location, appointment.staff, appointment.day}, when};
  return session.Run(sql::kMoveAppointment, {when.staff, when.day, rescheduling.minute, rescheduling.appointment});
}

absl::Status WriteRefund(SqlSession& session, const Cancellation& cancellation, Change& change) {
  Appointment appointment;
  absl::Status status = Read(session, cancellation.appointment, cancellation.location, appointment);
  if (status.ok()) status = session.Run(sql::kCancelAppointment, {cancellation.appointment});
  if (!status.ok()) return status;
  change.appointment = cancellation.appointment;
  change.days = {{cancellation.location, appointment.staff, appointment.day}};
  change.money_moved = true;
  return Pay(session, cancellation.location, cancellation.appointment, appointment.customer, appointment.service,
             -appointment.price_cents);
}

absl::Status WriteRepricing(SqlSession& session, const Repricing& repricing, Change& change) {
  const auto& [location, service] = repricing.what;
  return session.RunForOne("service", sql::kReprice, {repricing.price_cents, service, location},
                           [&change](const Row& row) { change.service = row.Int(0); });
}

absl::Status WriteRenaming(SqlSession& session, const Renaming& renaming, Change& change) {
  return session.RunForOne("client", sql::kRename, {renaming.name, renaming.client, renaming.location},
                           [&change](const Row& row) { change.client = row.Int(0); });
}

absl::Status WriteGrant(SqlSession& session, const Grant& grant, Change& change) {
  return session.RunForOne("user", sql::kGrant, {int64_t{grant.may_see_emails}, grant.user, grant.location},
                           [&change](const Row& row) { change.user = row.Int(0); });
}

}  // namespace bookings
