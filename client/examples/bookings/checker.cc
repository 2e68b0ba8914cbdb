#include "client/examples/bookings/checker.h"

#include <algorithm>

#include "client/examples/bookings/generator.h"
#include "client/examples/bookings/schema.h"

namespace bookings {
namespace {

constexpr size_t kMaxExamples = 5;

std::vector<Subject> TouchedBy(const Change& change) {
  std::vector<Subject> touched;
  for (const StaffDay& day : change.days) {
    touched.push_back({Endpoint::kDashboard, change.location});
    touched.push_back({Endpoint::kAvailability, day.location, day.staff, day.day});
  }
  if (change.money_moved) touched.push_back({Endpoint::kReport, change.location, MonthOf(kToday) / 100});
  if (change.service != 0) {
    touched.push_back({Endpoint::kCatalogue, change.location});
    touched.push_back({Endpoint::kService, change.location, change.service});
  }
  if (change.money_moved || change.client != 0) {
    for (int64_t number = 0; number < Population::kUsers; ++number) {
      touched.push_back({Endpoint::kTransactions, change.location, Population::UserId(change.location, number)});
    }
  }
  if (change.user != 0) touched.push_back({Endpoint::kTransactions, change.location, change.user});
  return touched;
}

std::string Describe(const Subject& subject, int64_t wanted, int64_t version) {
  std::string text(kEndpointNames[IndexOf(subject.endpoint)]);
  text += " of location " + std::to_string(subject.location);
  if (subject.which != 0) text += ", number " + std::to_string(subject.which);
  if (subject.day != 0) text += ", day " + std::to_string(subject.day);
  return text + ": written at version " + std::to_string(wanted) + ", answered as of version " +
         std::to_string(version);
}

}  // namespace

int64_t Checker::Wanted(const Subject& subject) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto written = written_.find(subject);
  return written == written_.end() ? 0 : written->second;
}

void Checker::OnRead(const Subject& subject, int64_t wanted, int64_t version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++summary_.checked;
  if (wanted != 0) ++summary_.after_a_write;
  if (version >= wanted) return;
  ++summary_.stale;
  if (summary_.examples.size() < kMaxExamples) summary_.examples.push_back(Describe(subject, wanted, version));
}

void Checker::OnWrite(const Change& change) {
  const std::vector<Subject> touched = TouchedBy(change);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Subject& subject : touched) {
    int64_t& version = written_[subject];
    version = std::max(version, change.version);
  }
}

Checker::Summary Checker::summary() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return summary_;
}

}  // namespace bookings
