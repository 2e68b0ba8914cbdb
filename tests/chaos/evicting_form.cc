#include "tests/chaos/evicting_form.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace larder::chaos {
namespace {

// What the server and its connections take leaves room for a few hundred small entries, which what is written besides
// fills in about a second.
constexpr char kMaxMemory[] = "3mb";
constexpr int kKeysAtOnce = 25;
constexpr int kPauseMillis = 45;
// While no control record has been evicted for so long, it is written faster: which keys go is a matter of luck.
constexpr int64_t kPatience = 1'500 * kNanosPerMilli;
constexpr int kShortPauseMillis = 10;

// Answers whose generation the control record is of, or nothing.
constexpr char kFill[] = R"lua(
local value = string.rep('x', 4000)
for i = 1, tonumber(ARGV[1]) do
  redis.call('SET', 'filler:' .. ARGV[2] .. ':' .. i, value, 'PX', 60000)
end
local top = redis.pcall('ZREVRANGE', 'larder:{default}:ctl', 0, 0)
return string.sub(not top.err and top[1] or '', 8, 23)
)lua";

}  // namespace

EvictingForm::EvictingForm(std::string_view policy)
    : SingleForm({"--maxmemory", kMaxMemory, "--maxmemory-policy", std::string(policy)}),
      evicts_records_(policy.starts_with("allkeys")) {}

EvictingForm::~EvictingForm() {
  stopping_ = true;
  if (filler_.joinable()) filler_.join();
}

absl::Status EvictingForm::Start() {
  if (absl::Status status = SingleForm::Start(); !status.ok()) return status;
  filler_ = std::thread([this] { Fill(); });
  return absl::OkStatus();
}

absl::Status EvictingForm::Break(std::string_view fault, Random& random) {
  // A new process counts from the beginning.
  const int64_t before = Evicted();
  absl::Status status = SingleForm::Break(fault, random);
  if (Evicted() < before) evicted_before_ += before;
  // All but one of the faults are the end of a control record.
  if (fault != "fill-memory") lost_to_faults_.fetch_add(1);
  return status;
}

absl::StatusOr<std::string> EvictingForm::Proof() {
  const int64_t evicted = evicted_before_ + Evicted();
  if (evicted == 0) return absl::FailedPreconditionError("nothing was evicted");
  const int64_t lost = records_lost_ - lost_to_faults_;
  if (evicts_records_ && lost <= 0) return absl::FailedPreconditionError("no control record was evicted");
  return absl::StrCat(evicted, " keys evicted",
                      evicts_records_ ? absl::StrFormat(", the control record among them %d times", lost) : "");
}

void EvictingForm::Fill() {
  std::string generation;
  int64_t last_lost = SystemClock().NowNanos();
  for (int round = 0; !stopping_; ++round) {
    const absl::StatusOr<std::string> there =
        Command({"EVAL", kFill, "0", absl::StrCat(kKeysAtOnce), absl::StrCat(round % 1'000)});
    if (there.ok() && !there->empty()) {
      if (!generation.empty() && *there != generation) {
        records_lost_.fetch_add(1);
        last_lost = SystemClock().NowNanos();
      }
      generation = *there;
    }
    const bool lasts = evicts_records_ && SystemClock().NowNanos() - last_lost > kPatience;
    SleepMillis(lasts ? kShortPauseMillis : kPauseMillis);
  }
}

int64_t EvictingForm::Evicted() {
  const absl::StatusOr<std::string> stats = Command({"INFO", "stats"});
  const size_t at = stats.ok() ? stats->find("evicted_keys:") : std::string::npos;
  return at == std::string::npos ? 0 : std::atoll(stats->c_str() + at + std::string("evicted_keys:").size());
}

}  // namespace larder::chaos
