#include "client/examples/bookings/generator.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "client/examples/bookings/random.h"

namespace bookings {
namespace {

constexpr int64_t kOpens = 9 * 60;
constexpr int64_t kCloses = 18 * 60;
constexpr int64_t kSlot = 30;
constexpr double kSlotsOfDay = static_cast<double>(kCloses - kOpens) / kSlot;
// Appointments are 1.5 slots long on average.
constexpr double kMeanSlots = 1.5;
// A busy member of staff's day.
constexpr double kAppointmentsOfDay = 6;
constexpr double kMostAppointmentsOfDay = 11;

constexpr std::string_view kCategories[] = {"Colour", "Cut", "Care", "Nails", "Skin", "Massage"};
constexpr std::string_view kSettings[] = {"currency",       "deposit",  "language",  "late_fee",    "notice_hours",
                                          "online_booking", "reminder", "time_zone", "welcome_text"};
constexpr std::string_view kNames[] = {"Ada", "Ben", "Cleo", "Dara", "Edo", "Fay", "Gil", "Hana", "Ivo", "Jun"};

struct Service {
  int64_t id;
  int64_t minutes;
  int64_t price_cents;
};

// Stops at the first error, and keeps it.
class Generator {
 public:
  Generator(Connection& connection, int64_t rows, uint64_t seed) : connection_(connection), random_(seed) {
    const double appointments = static_cast<double>(rows) * 0.46;  // a payment each, and some customers besides
    const double staff_days = static_cast<double>(Population::kStaff * (kToday + kDaysAhead + 1 - kFirstDay));
    population_.locations =
        std::max<int64_t>(2, static_cast<int64_t>(appointments / (staff_days * kAppointmentsOfDay)));
    const auto locations = static_cast<double>(population_.locations);
    population_.customers = std::max<int64_t>(50, static_cast<int64_t>(static_cast<double>(rows) * 0.08 / locations));
    const double per_day = std::min(kMostAppointmentsOfDay, appointments / (staff_days * locations));
    slot_is_taken_ = per_day / (kSlotsOfDay - per_day * (kMeanSlots - 1));
  }

  absl::StatusOr<Population> Run() {
    for (int64_t location = 1; location <= population_.locations; ++location) AddLocation(location);
    for (int64_t day = kFirstDay; day <= kToday + kDaysAhead && status_.ok(); ++day) {
      for (int64_t location = 1; location <= population_.locations; ++location) {
        for (int64_t number = 0; number < Population::kStaff; ++number) AddDay(location, number, day);
      }
    }
    if (!status_.ok()) return status_;
    return population_;
  }

 private:
  void Insert(std::string_view sql, std::initializer_list<Parameter> parameters) {
    if (status_.ok()) status_ = connection_.Run(sql, parameters);
    ++population_.rows;
  }

  void AddLocation(int64_t location) {
    const std::string name = "Salon " + std::to_string(location);
    Insert("INSERT INTO locations VALUES (?, ?, 1)", {location, name});
    for (std::string_view setting : kSettings) {
      Insert("INSERT INTO settings VALUES (?, ?, ?)", {location, setting, std::to_string(random_.Below(100))});
    }
    for (int64_t number = 0; number < Population::kUsers; ++number) {
      Insert("INSERT INTO users VALUES (?, ?, ?)",
             {Population::UserId(location, number), location, int64_t{number == 0}});
    }
    for (int64_t number = 0; number < Population::kStaff; ++number) {
      Insert("INSERT INTO staff VALUES (?, ?, ?, ?, ?)",
             {Population::StaffId(location, number), location, kNames[static_cast<size_t>(number)], kOpens, kCloses});
    }
    for (int64_t number = 0; number < Population::kServices; ++number) AddService(location, number);
    for (int64_t number = 0; number < population_.customers; ++number) {
      const int64_t id = population_.CustomerId(location, number);
      const std::string customer = "Customer " + std::to_string(id);
      const std::string email = "customer" + std::to_string(id) + "@example.com";
      Insert("INSERT INTO customers VALUES (?, ?, ?, ?, ?)",
             {id, location, customer, email, kFirstDay + random_.Below(kToday - kFirstDay + 1)});
    }
  }

  void AddService(int64_t location, int64_t number) {
    const Service service = {Population::ServiceId(location, number), kSlot * (1 + random_.Below(2)),
                             100 * (20 + random_.Below(100))};
    const std::string_view category = kCategories[static_cast<size_t>(number) % std::size(kCategories)];
    const std::string name = std::string(category) + " " + std::to_string(number + 1);
    Insert("INSERT INTO services VALUES (?, ?, ?, ?, ?, ?)",
           {service.id, location, category, name, service.minutes, service.price_cents});
    services_.push_back(service);
  }

  void AddDay(int64_t location, int64_t staff_number, int64_t day) {
    for (int64_t minute = kOpens; minute < kCloses;) {
      if (!random_.Chance(slot_is_taken_)) {
        minute += kSlot;
        continue;
      }
      const int64_t number = random_.Below(Population::kServices);
      const Service& service = services_[static_cast<size_t>(Population::ServiceId(location, number) - 1)];
      const int64_t minutes = std::min(service.minutes, kCloses - minute);
      AddAppointment(location, Population::StaffId(location, staff_number), service, day, minute, minutes);
      minute += minutes;
    }
  }

  void AddAppointment(int64_t location, int64_t staff, const Service& service, int64_t day, int64_t minute,
                      int64_t minutes) {
    const int64_t customer = population_.CustomerId(location, random_.Below(population_.customers));
    const int64_t status = StatusOn(day);
    const int64_t id = ++appointments_;
    Insert("INSERT INTO appointments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
           {id, location, staff, customer, service.id, day, minute, minutes, status, service.price_cents});
    if (status == kMissed) return;
    // What lies ahead was paid when it was booked.
    const int64_t paid = day <= kToday ? day : kToday - random_.Below(14);
    AddTransaction(location, id, customer, service.id, paid, service.price_cents);
    if (status == kCancelled) AddTransaction(location, id, customer, service.id, paid, -service.price_cents);
  }

  void AddTransaction(int64_t location, int64_t appointment, int64_t customer, int64_t service, int64_t day,
                      int64_t cents) {
    if (day != month_day_) {
      month_day_ = day;
      month_ = MonthOf(day);
    }
    Insert("INSERT INTO transactions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
           {location, appointment, customer, service, day, month_, kOpens + random_.Below(kCloses - kOpens), cents});
  }

  int64_t StatusOn(int64_t day) {
    const double fraction = random_.Fraction();
    if (fraction < 0.05) return kCancelled;
    if (day >= kToday) return kBooked;
    return fraction < 0.11 ? kMissed : kCompleted;
  }

  Connection& connection_;
  Random random_;
  Population population_;
  double slot_is_taken_ = 0;
  std::vector<Service> services_;  // by id, from 1
  int64_t appointments_ = 0;
  int64_t month_day_ = -1;  // the day that month_ belongs to
  int64_t month_ = 0;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Population> Generate(const std::string& path, int64_t rows, uint64_t seed) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(path);
  if (!connection.ok()) return connection.status();
  // If it fails the file is thrown away, so nothing need survive that.
  const std::string begin = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;";
  if (absl::Status status = (*connection)->Execute(begin + kTables); !status.ok()) return status;
  absl::StatusOr<Population> population = Generator(**connection, rows, seed).Run();
  if (!population.ok()) return population.status();
  const std::string end = "COMMIT; PRAGMA journal_mode = WAL;";
  if (absl::Status status = (*connection)->Execute(kIndexes + end); !status.ok()) return status;
  return population;
}

absl::StatusOr<Population> ReadPopulation(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(path);
  if (!connection.ok()) return connection.status();
  absl::Status status;
  const auto count = [&](const std::string& table) {
    int64_t rows = 0;
    status.Update((*connection)->Run("SELECT COUNT(*) FROM " + table, {}, [&](const Row& row) { rows = row.Int(0); }));
    return rows;
  };
  Population population;
  population.locations = count("locations");
  const int64_t customers = count("customers");
  population.rows = population.locations + customers;
  for (const char* table : {"users", "settings", "services", "staff", "appointments", "transactions"}) {
    population.rows += count(table);
  }
  if (!status.ok()) return status;
  if (population.locations == 0) return absl::FailedPreconditionError(path + " holds no location");
  population.customers = customers / population.locations;
  return population;
}

}  // namespace bookings
