// One Redis server.
#ifndef LARDER_TESTS_CHAOS_SINGLE_FORM_H_
#define LARDER_TESTS_CHAOS_SINGLE_FORM_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/chaos/store_form.h"

namespace larder::chaos {

class SingleForm : public StoreForm {
 public:
  // `args`: further ones on redis-server's command line.
  explicit SingleForm(std::vector<std::string> args = {}) : args_(std::move(args)) {}

  absl::Status Start() override;
  absl::StatusOr<Way> AddReplica() override;
  std::vector<std::string_view> FaultNames() const override;
  absl::Status Break(std::string_view fault, Random& random) override;
  absl::StatusOr<std::string> Command(const std::vector<std::string>& args) override { return redis_->Command(args); }

 private:
  const std::vector<std::string> args_;
  std::unique_ptr<RedisServer> redis_;
  std::vector<std::unique_ptr<StoreLinks>> links_;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_SINGLE_FORM_H_
