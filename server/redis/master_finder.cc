#include "server/redis/master_finder.h"

#include <cassert>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr int64_t kBetweenQuestions = kNanosPerSecond;
constexpr char kSwitchChannel[] = "+switch-master";

RedisPipeline QuestionFor(const std::string& master_name) {
  RedisPipeline pipeline;
  pipeline.Add({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", master_name});
  pipeline.Add({"SENTINEL", "CKQUORUM", master_name});
  return pipeline;
}

std::optional<RedisEndpoint> ParseMaster(RedisReplyView reply) {
  if (reply.size() != 2) return std::nullopt;
  const std::string_view host = reply[0].Text().value_or("");
  const int64_t port = reply[1].Integer().value_or(0);
  if (host.empty() || port < 1 || port > 65'535) return std::nullopt;
  return RedisEndpoint{std::string(host), static_cast<int>(port)};
}

}  // namespace

MasterFinder::MasterFinder(RedisLoop* loop, const Clock* clock, const RedisOptions& options, OnSwitch on_switch,
                           OnTrouble on_trouble)
    : options_(options),
      on_switch_(std::move(on_switch)),
      on_trouble_(std::move(on_trouble)),
      inquirer_(loop, clock,
                {.role = "Sentinel",
                 .question = QuestionFor(options.master_name),
                 .whom = [this] { return options_.sentinels; },
                 .options_for = [this](const RedisEndpoint& place) { return OptionsForSentinel(options_, place); },
                 .judge = [this](const RedisEndpoint& place,
                                 const std::vector<RedisReplyPtr>& replies) { return Judge(place, replies); },
                 .on_end = [this](const absl::Status& status) { OnRound(status); },
                 .patience_nanos = options.connect_timeout_nanos / 2,
                 .pause_nanos = [] { return kBetweenQuestions; }}),
      // On a connection of its own: hiredis takes what is published for the answer of a question under way.
      switches_(
          loop, clock, OptionsForSentinel(options, options.sentinels.front()), [this] { return inquirer_.answered(); },
          {kSwitchChannel},
          // What was published before it was heard, or may have been, counts too.
          [this](std::string_view, std::string_view) { inquirer_.Ask(); }, nullptr) {}

MasterFinder::~MasterFinder() { assert(waiting_.empty()); }

void MasterFinder::Start() { inquirer_.Ask(); }

std::optional<RedisEndpoint> MasterFinder::master() const {
  MutexLock lock(&mutex_);
  return master_;
}

std::string MasterFinder::doubt() const {
  MutexLock lock(&mutex_);
  return doubt_;
}

void MasterFinder::Find(Done done) {
  if (closed_) return std::move(done)(absl::UnavailableError("the store is shut down"));
  waiting_.push_back(std::move(done));
  // A question that is under way will do: what it finds is looked at before it is trusted.
  if (!inquirer_.is_asking()) inquirer_.Ask();
}

std::optional<Inquirer::Refusal> MasterFinder::Judge(const RedisEndpoint& sentinel,
                                                     const std::vector<RedisReplyPtr>& replies) {
  const RedisReplyView reply(replies[0]);
  if (reply.IsNull()) {
    return Inquirer::Refusal{absl::StrCat("it knows no master named \"", options_.master_name, "\""), true};
  }
  if (reply.IsError()) {
    return Inquirer::Refusal{std::string(StatusOfReply(reply).message()), IsConfigurationError(reply.ErrorCode())};
  }
  const std::optional<RedisEndpoint> found = ParseMaster(reply);
  if (!found.has_value()) return Inquirer::Refusal{"it does not say where the master is"};
  NoteDoubt(sentinel, RedisReplyView(replies[1]));
  found_ = *found;
  return std::nullopt;
}

// A master that is lost would then not be replaced.
void MasterFinder::NoteDoubt(const RedisEndpoint& sentinel, RedisReplyView quorum) {
  std::string doubt;
  if (quorum.ErrorCode() == "NOQUORUM") {
    doubt = absl::StrCat("Sentinel at ", EndpointText(sentinel),
                         " cannot fail over to another master, for want of other sentinels that it reaches: ",
                         std::string(quorum.Text().value_or("")));
  }
  bool is_new = false;
  {
    MutexLock lock(&mutex_);
    is_new = doubt_.empty() && !doubt.empty();
    doubt_ = doubt;
  }
  if (is_new && on_trouble_) on_trouble_(doubt);
}

bool MasterFinder::Publish(const RedisEndpoint& master) {
  MutexLock lock(&mutex_);
  const bool is_another = master_.has_value() && *master_ != master;
  master_ = master;
  return is_another;
}

void MasterFinder::OnRound(const absl::Status& status) {
  if (status.ok()) switches_.Follow();
  const bool is_another = status.ok() && Publish(found_);
  std::vector<Done> waiting;
  waiting.swap(waiting_);
  for (Done& done : waiting) {
    if (status.ok()) {
      std::move(done)(found_);
    } else {
      std::move(done)(status);
    }
  }
  if (is_another && on_switch_) on_switch_();
}

void MasterFinder::Close() {
  closed_ = true;
  switches_.Close();
  inquirer_.Close();
  std::vector<Done> waiting;
  waiting.swap(waiting_);
  for (Done& done : waiting) std::move(done)(absl::UnavailableError("the store is shut down"));
}

}  // namespace larder
