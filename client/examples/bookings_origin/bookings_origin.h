// The bookings database as an origin: larderd asks it for what it has not cached.
#ifndef CLIENT_EXAMPLES_BOOKINGS_ORIGIN_BOOKINGS_ORIGIN_H_
#define CLIENT_EXAMPLES_BOOKINGS_ORIGIN_BOOKINGS_ORIGIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/examples/bookings/database.h"
#include "client/examples/bookings/sql_bookings.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "grpcpp/support/sync_stream.h"
#include "larder/v1/origin.grpc.pb.h"

namespace bookings {

// Every value is JSON. The keys, and how each is cached:
//
//   key                          TTL class   tags
//   service:<id>                 static      service:<id>
//   client:<id>                  user        client:<id>
//   settings:<location>          static      location:<location>
//   availability:<staff>:<day>   realtime    calendar:<day>, staff:<staff>
//   dashboard:<location>         analytics   location:<location>
//   version:<location>           not cached: it counts the location's writes, and so is old at once
//
// Any other key, and an id that is not there, is answered by "absent". Thread-safe; calls block.
class BookingsOrigin final : public larder::v1::Origin::Service {
 public:
  // `database` is not owned and must outlive this.
  explicit BookingsOrigin(Database* database) : database_(*database), bookings_(database) {}

  grpc::Status Load(grpc::ServerContext* context, const larder::v1::LoadRequest* request,
                    larder::v1::LoadResponse* response) override;

  // The services, and then the week's availability.
  grpc::Status Enumerate(grpc::ServerContext* context, const larder::v1::EnumerateRequest* request,
                         grpc::ServerWriter<larder::v1::EnumerateResponse>* writer) override;

 private:
  using Ids = std::vector<int64_t>;
  using LoadedKey = larder::v1::LoadedKey;
  // Fills in the answer. NOT_FOUND if there is none.
  using Loader = absl::Status (BookingsOrigin::*)(const Ids& ids, LoadedKey& loaded);

  absl::Status LoadKey(const std::string& key, LoadedKey& loaded);
  absl::Status LoadService(const Ids& ids, LoadedKey& loaded);
  absl::Status LoadClient(const Ids& ids, LoadedKey& loaded);
  absl::Status LoadSettings(const Ids& ids, LoadedKey& loaded);
  absl::Status LoadAvailability(const Ids& ids, LoadedKey& loaded);
  absl::Status LoadDashboard(const Ids& ids, LoadedKey& loaded);
  absl::Status LoadVersion(const Ids& ids, LoadedKey& loaded);

  Database& database_;
  SqlBookings bookings_;
};

}  // namespace bookings

#endif  // CLIENT_EXAMPLES_BOOKINGS_ORIGIN_BOOKINGS_ORIGIN_H_
