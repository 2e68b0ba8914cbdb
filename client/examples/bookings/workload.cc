#include "client/examples/bookings/workload.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "client/examples/bookings/random.h"
#include "client/examples/bookings/schema.h"

namespace bookings {
namespace {

// Of a thousand operations, by endpoint. A dashboard stands open and refreshes itself.
constexpr int64_t kMix[kEndpoints] = {120, 130, 60, 330, 180, 70, 90, 10, 4, 2, 2, 1, 1};
constexpr int64_t kPages = 12;
constexpr double kReportsOfThisYear = 0.7;

// How often what is asked for. Thread-safe.
struct Popularity {
  explicit Popularity(int64_t count) : locations(count, 0.8) {}

  Zipf locations;
  Zipf staff{Population::kStaff, 0.5};
  Zipf services{Population::kServices, 1.0};
  Zipf days{kDaysAhead + 1, 1.0};
  Zipf pages{kPages, 2.0};
  Zipf users{Population::kUsers, 1.0};
};

// One thread's users.
class Visitor {
 public:
  Visitor(BookingService& service, const Population& population, const Popularity& popularity, uint64_t seed)
      : service_(service), population_(population), popularity_(popularity), random_(seed) {}

  void Run(int64_t operations) {
    for (int64_t i = 0; i < operations; ++i) Next();
  }

  WorkloadResult& result() { return result_; }

 private:
  struct Own {
    int64_t appointment = 0;
    int64_t location = 0;
  };

  void Next() {
    int64_t drawn = random_.Below(1000);
    size_t index = 0;
    while (drawn >= kMix[index]) drawn -= kMix[index++];
    const int64_t location = popularity_.locations(random_) + 1;
    switch (static_cast<Endpoint>(index)) {
      case Endpoint::kSettings:
        Time(Endpoint::kSettings, [&] { return service_.GetSettings(location); });
        break;
      case Endpoint::kCatalogue:
        Time(Endpoint::kCatalogue, [&] { return service_.GetCatalogue(location); });
        break;
      case Endpoint::kService:
        ReadService(location);
        break;
      case Endpoint::kAvailability:
        LookAt(DrawDay(location));
        break;
      case Endpoint::kDashboard:
        Time(Endpoint::kDashboard, [&] { return service_.GetDashboard(location); });
        break;
      case Endpoint::kReport:
        ReadReport(location);
        break;
      case Endpoint::kTransactions:
        ReadTransactions(location);
        break;
      case Endpoint::kBook:
        Book(location);
        break;
      case Endpoint::kReschedule:
        own_.empty() ? Book(location) : Reschedule();
        break;
      case Endpoint::kRefund:
        own_.empty() ? Book(location) : Refund();
        break;
      case Endpoint::kReprice:
        Reprice(location);
        break;
      case Endpoint::kRename:
        Rename(location);
        break;
      case Endpoint::kGrant:
        SetGrant(location);
        break;
    }
  }

  ServiceOfLocation DrawService(int64_t location) {
    return {location, Population::ServiceId(location, popularity_.services(random_))};
  }

  void ReadService(int64_t location) {
    const ServiceOfLocation which = DrawService(location);
    Time(Endpoint::kService, [&] { return service_.GetService(which); });
  }

  void Reprice(int64_t location) {
    const Repricing repricing = {DrawService(location), 100 * (20 + random_.Below(100))};
    Time(Endpoint::kReprice, [&] { return service_.Reprice(repricing); });
  }

  void SetGrant(int64_t location) {
    const int64_t user = Population::UserId(location, random_.Below(Population::kUsers));
    const Grant grant = {location, user, random_.Chance(0.5)};
    Time(Endpoint::kGrant, [&] { return service_.SetGrant(grant); });
  }

  void Rename(int64_t location) {
    Renaming renaming;
    renaming.location = location;
    renaming.client = population_.CustomerId(location, random_.Below(population_.customers));
    renaming.name = "Customer " + std::to_string(random_.Below(1000000));
    Time(Endpoint::kRename, [&] { return service_.Rename(renaming); });
  }

  StaffDay DrawDay(int64_t location) {
    const int64_t staff = Population::StaffId(location, popularity_.staff(random_));
    return {location, staff, kToday + popularity_.days(random_)};
  }

  void ReadReport(int64_t location) {
    const int64_t year = MonthOf(kToday) / 100 - (random_.Chance(kReportsOfThisYear) ? 0 : 1);
    Time(Endpoint::kReport, [&] { return service_.GetReport(location, year); });
  }

  void ReadTransactions(int64_t location) {
    const int64_t user = Population::UserId(location, popularity_.users(random_));
    const TransactionsQuery query = {location, user, popularity_.pages(random_)};
    Time(Endpoint::kTransactions, [&] { return service_.GetTransactions(query); });
  }

  // One of the times that are free for any service, if there is any.
  std::optional<int64_t> LookAt(const StaffDay& when) {
    const double fraction = random_.Fraction();
    const std::optional<Availability> answer =
        Time(Endpoint::kAvailability, [&] { return service_.GetAvailability(when); });
    if (!answer.has_value()) return std::nullopt;
    const std::vector<int64_t> starts = StartsForAnyService(*answer);
    if (starts.empty()) return std::nullopt;
    return starts[static_cast<size_t>(fraction * static_cast<double>(starts.size()))];
  }

  void Book(int64_t location) {
    Booking booking;
    booking.when = DrawDay(location);
    booking.service = Population::ServiceId(location, random_.Below(Population::kServices));
    booking.customer = population_.CustomerId(location, random_.Below(population_.customers));
    const std::optional<int64_t> minute = LookAt(booking.when);
    if (!minute.has_value()) return;
    booking.minute = *minute;
    const std::optional<Change> change = Time(Endpoint::kBook, [&] { return service_.Book(booking); });
    if (change.has_value()) own_.push_back({change->appointment, location});
  }

  void Reschedule() {
    const Own& own = own_[static_cast<size_t>(random_.Below(static_cast<int64_t>(own_.size())))];
    const StaffDay when = DrawDay(own.location);
    const std::optional<int64_t> minute = LookAt(when);
    if (!minute.has_value()) return;
    Time(Endpoint::kReschedule, [&] { return service_.Reschedule({own.appointment, when, *minute}); });
  }

  void Refund() {
    std::swap(own_[static_cast<size_t>(random_.Below(static_cast<int64_t>(own_.size())))], own_.back());
    const Own own = own_.back();
    own_.pop_back();
    Time(Endpoint::kRefund, [&] { return service_.Refund({own.location, own.appointment}); });
  }

  template <typename Call>
  auto Time(Endpoint endpoint, Call call) -> std::optional<typename decltype(call())::value_type> {
    const auto start = std::chrono::steady_clock::now();
    auto answer = call();
    const std::chrono::nanoseconds duration = std::chrono::steady_clock::now() - start;
    result_.nanoseconds[IndexOf(endpoint)].push_back(duration.count());
    if (answer.ok()) return *std::move(answer);
    if (answer.status().code() == absl::StatusCode::kAborted) {
      ++result_.lost;
    } else if (++result_.failed == 1) {
      result_.first_failure = std::string(kEndpointNames[IndexOf(endpoint)]) + ": " + answer.status().ToString();
    }
    return std::nullopt;
  }

  BookingService& service_;
  const Population& population_;
  const Popularity& popularity_;
  Random random_;
  std::vector<Own> own_;  // appointments booked here and not cancelled
  WorkloadResult result_;
};

void Add(WorkloadResult& more, WorkloadResult& sum) {
  for (size_t i = 0; i < kEndpoints; ++i) {
    sum.nanoseconds[i].insert(sum.nanoseconds[i].end(), more.nanoseconds[i].begin(), more.nanoseconds[i].end());
  }
  sum.lost += more.lost;
  sum.failed += more.failed;
  if (sum.first_failure.empty()) sum.first_failure = more.first_failure;
}

}  // namespace

WorkloadResult RunWorkload(BookingService& service, const Population& population, const WorkloadOptions& options) {
  const Popularity popularity(population.locations);
  std::vector<Visitor> visitors;
  visitors.reserve(static_cast<size_t>(options.threads));
  for (int i = 0; i < options.threads; ++i) {
    visitors.emplace_back(service, population, popularity, options.seed * 1000 + static_cast<uint64_t>(i));
  }
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < options.threads; ++i) {
      // The first ones do what the division leaves over.
      const int64_t share = options.operations / options.threads + (i < options.operations % options.threads ? 1 : 0);
      threads.emplace_back([&visitor = visitors[static_cast<size_t>(i)], share] { visitor.Run(share); });
    }
  }
  WorkloadResult sum;
  sum.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (Visitor& visitor : visitors) Add(visitor.result(), sum);
  for (std::vector<int64_t>& latencies : sum.nanoseconds) std::sort(latencies.begin(), latencies.end());
  return sum;
}

}  // namespace bookings
