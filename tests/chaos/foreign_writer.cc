#include "tests/chaos/foreign_writer.h"

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tests/chaos/keys.h"

namespace larder::chaos {

void ForeignWriter::Run() {
  while (!stopping()) {
    const int key = Between(random(), 0, kFirstWarmed - 1);
    const std::string name = absl::StrCat("larder:default:e:", KeyName(key));
    Operation write{.kind = OperationKind::kInvalidate, .key = key, .replica = kForeign, .invoked = Now()};
    const absl::StatusOr<std::string> answer =
        fleet().store().Command(Chance(random(), 0.5) ? std::vector<std::string>{"UNLINK", name}
                                                      : std::vector<std::string>{"SET", name, "not ours", "PX", "50"});
    write.returned = Now();
    write.outcome = answer.ok() ? Outcome::kDone : Outcome::kUnknown;
    Note(write);
    SleepMillis(150);
  }
}

}  // namespace larder::chaos
