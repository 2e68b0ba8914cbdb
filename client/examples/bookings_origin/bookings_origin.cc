#include "client/examples/bookings_origin/bookings_origin.h"

#include <google/protobuf/util/json_util.h>

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/examples/bookings/schema.h"
#include "client/examples/bookings_origin/key_writer.h"

namespace bookings {
namespace {

constexpr int64_t kDaysAhead = 7;

constexpr std::string_view kLocationOfService = "SELECT location_id FROM services WHERE id = ?";
constexpr std::string_view kClient = "SELECT name, email, joined_day FROM customers WHERE id = ?";
constexpr std::string_view kLocationOfStaff = "SELECT location_id FROM staff WHERE id = ?";
constexpr std::string_view kServiceIds = "SELECT id FROM services ORDER BY id";
constexpr std::string_view kStaffIds = "SELECT id FROM staff ORDER BY id";

// NOT_FOUND if there is no row.
absl::Status ReadOne(Database& database, std::string_view sql, int64_t id, absl::FunctionRef<void(const Row&)> each) {
  absl::StatusOr<Database::Lease> connection = database.Connect();
  if (!connection.ok()) return connection.status();
  bool found = false;
  absl::Status status = (*connection)->Run(sql, {id}, [&](const Row& row) {
    found = true;
    each(row);
  });
  return status.ok() && !found ? absl::NotFoundError("no such row") : status;
}

absl::StatusOr<std::vector<int64_t>> ReadIds(Database& database, std::string_view sql) {
  absl::StatusOr<Database::Lease> connection = database.Connect();
  if (!connection.ok()) return connection.status();
  std::vector<int64_t> ids;
  const absl::Status status = (*connection)->Run(sql, {}, [&ids](const Row& row) { ids.push_back(row.Int(0)); });
  if (!status.ok()) return status;
  return ids;
}

void Answer(std::string json, const char* ttl_class, std::initializer_list<std::string> tags,
            larder::v1::LoadedKey& loaded) {
  loaded.set_value(std::move(json));
  loaded.set_content_type("application/json");
  loaded.set_ttl_class(ttl_class);
  for (const std::string& tag : tags) loaded.add_tags(tag);
}

template <typename Message>
absl::Status AnswerMessage(const absl::StatusOr<Message>& message, const char* ttl_class,
                           std::initializer_list<std::string> tags, larder::v1::LoadedKey& loaded) {
  if (!message.ok()) return message.status();
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(*message, &json, options).ok())
    return absl::InternalError("no JSON");
  Answer(std::move(json), ttl_class, tags, loaded);
  return absl::OkStatus();
}

std::string Tag(std::string_view kind, int64_t id) { return std::string(kind) + ":" + std::to_string(id); }

}  // namespace

grpc::Status BookingsOrigin::Load(grpc::ServerContext*, const larder::v1::LoadRequest* request,
                                  larder::v1::LoadResponse* response) {
  for (const std::string& key : request->keys()) {
    LoadedKey& loaded = *response->add_results();
    const absl::Status status = LoadKey(key, loaded);
    if (status.ok()) continue;
    // What failed for one key is said of that key: the others have their answers, and the old value of this one is
    // served on. An error of the call would count as one of all of them.
    loaded.Clear();
    if (absl::IsNotFound(status)) {
      loaded.set_absent(true);
    } else {
      loaded.set_error(status.ToString());
    }
  }
  return grpc::Status::OK;
}

grpc::Status BookingsOrigin::Enumerate(grpc::ServerContext*, const larder::v1::EnumerateRequest* request,
                                       grpc::ServerWriter<larder::v1::EnumerateResponse>* writer) {
  const absl::StatusOr<std::vector<int64_t>> services = ReadIds(database_, kServiceIds);
  const absl::StatusOr<std::vector<int64_t>> staff = ReadIds(database_, kStaffIds);
  if (!services.ok() || !staff.ok()) return {grpc::StatusCode::INTERNAL, "the database cannot be read"};
  KeyWriter keys(*request, writer);
  for (const int64_t id : *services) {
    if (!keys.Add(absl::StrCat("service:", id))) return grpc::Status::OK;
  }
  for (int64_t day = kToday; day < kToday + kDaysAhead; ++day) {
    for (const int64_t id : *staff) {
      if (!keys.Add(absl::StrCat("availability:", id, ":", day))) return grpc::Status::OK;
    }
  }
  keys.Flush();
  return grpc::Status::OK;
}

absl::Status BookingsOrigin::LoadKey(const std::string& key, LoadedKey& loaded) {
  static constexpr struct {
    std::string_view name;
    size_t ids;
    Loader load;
  } kKinds[] = {
      {"service", 1, &BookingsOrigin::LoadService},           {"client", 1, &BookingsOrigin::LoadClient},
      {"settings", 1, &BookingsOrigin::LoadSettings},         {"dashboard", 1, &BookingsOrigin::LoadDashboard},
      {"availability", 2, &BookingsOrigin::LoadAvailability}, {"version", 1, &BookingsOrigin::LoadVersion},
  };
  const std::vector<std::string> parts = absl::StrSplit(key, ':');
  Ids ids(parts.size() - 1);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!absl::SimpleAtoi(parts[i + 1], &ids[i])) return absl::NotFoundError("no such key");
  }
  for (const auto& kind : kKinds) {
    if (parts[0] == kind.name && ids.size() == kind.ids) return (this->*kind.load)(ids, loaded);
  }
  return absl::NotFoundError("no such key");
}

absl::Status BookingsOrigin::LoadService(const Ids& ids, LoadedKey& loaded) {
  ServiceOfLocation which{.location = 0, .service = ids[0]};
  const absl::Status status =
      ReadOne(database_, kLocationOfService, which.service, [&which](const Row& row) { which.location = row.Int(0); });
  if (!status.ok()) return status;
  return AnswerMessage(bookings_.GetService(which), "static", {Tag("service", which.service)}, loaded);
}

absl::Status BookingsOrigin::LoadClient(const Ids& ids, LoadedKey& loaded) {
  return ReadOne(database_, kClient, ids[0], [&](const Row& row) {
    const nlohmann::json client = {{"name", row.Text(0)}, {"email", row.Text(1)}, {"joined_day", row.Int(2)}};
    Answer(client.dump(), "user", {Tag("client", ids[0])}, loaded);
  });
}

absl::Status BookingsOrigin::LoadSettings(const Ids& ids, LoadedKey& loaded) {
  return AnswerMessage(bookings_.GetSettings(ids[0]), "static", {Tag("location", ids[0])}, loaded);
}

absl::Status BookingsOrigin::LoadAvailability(const Ids& ids, LoadedKey& loaded) {
  StaffDay when{.location = 0, .staff = ids[0], .day = ids[1]};
  const absl::Status status =
      ReadOne(database_, kLocationOfStaff, when.staff, [&when](const Row& row) { when.location = row.Int(0); });
  if (!status.ok()) return status;
  return AnswerMessage(bookings_.GetAvailability(when), "realtime",
                       {Tag("calendar", when.day), Tag("staff", when.staff)}, loaded);
}

absl::Status BookingsOrigin::LoadDashboard(const Ids& ids, LoadedKey& loaded) {
  return AnswerMessage(bookings_.GetDashboard(ids[0]), "analytics", {Tag("location", ids[0])}, loaded);
}

absl::Status BookingsOrigin::LoadVersion(const Ids& ids, LoadedKey& loaded) {
  loaded.set_do_not_cache(true);
  return ReadOne(database_, sql::kVersion, ids[0],
                 [&loaded](const Row& row) { loaded.set_value(std::to_string(row.Int(0))); });
}

}  // namespace bookings
