// Fills a database with locations that have been in business for two years.
#ifndef CLIENT_EXAMPLES_BOOKINGS_GENERATOR_H_
#define CLIENT_EXAMPLES_BOOKINGS_GENERATOR_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/examples/bookings/schema.h"

namespace bookings {

inline constexpr int64_t kFirstDay = kToday - 730;
inline constexpr int64_t kDaysAhead = 60;  // how far ahead customers book

// What a generated database holds. Ids of each kind are dense, from 1, location by location.
struct Population {
  static constexpr int64_t kStaff = 8;  // of each location, as are the next ones
  static constexpr int64_t kServices = 24;
  static constexpr int64_t kUsers = 3;

  int64_t locations = 0;
  int64_t customers = 0;  // of each location
  int64_t rows = 0;       // in all tables

  static int64_t StaffId(int64_t location, int64_t number) { return (location - 1) * kStaff + number + 1; }
  static int64_t ServiceId(int64_t location, int64_t number) { return (location - 1) * kServices + number + 1; }
  static int64_t UserId(int64_t location, int64_t number) { return (location - 1) * kUsers + number + 1; }
  int64_t CustomerId(int64_t location, int64_t number) const { return (location - 1) * customers + number + 1; }
};

// Makes the database at `path`, of about `rows` rows; the same for the same arguments. Nothing else may have it open.
absl::StatusOr<Population> Generate(const std::string& path, int64_t rows, uint64_t seed);

// What a generated database holds.
absl::StatusOr<Population> ReadPopulation(const std::string& path);

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_GENERATOR_H_
