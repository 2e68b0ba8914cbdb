#include "server/redis/master_finder.h"

#include <cassert>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace larder {
namespace {

constexpr uint64_t kHandshakeId = 0;
constexpr uint64_t kQuestionId = 1;
constexpr size_t kRepliesPerQuestion = 2;

constexpr int64_t kBetweenQuestions = kNanosPerSecond;
constexpr char kSwitchChannel[] = "+switch-master";

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
    : loop_(loop),
      clock_(clock),
      options_(options),
      on_switch_(std::move(on_switch)),
      on_trouble_(std::move(on_trouble)),
      // On a connection of its own: hiredis takes what is published for the answer of a question under way.
      switches_(
          loop, clock, OptionsForSentinel(options, options.sentinels.front()), [this] { return answered_; },
          {kSwitchChannel},
          // What was published before it was heard, or may have been, counts too.
          [this](std::string_view, std::string_view) { Begin(); }, nullptr) {}

MasterFinder::~MasterFinder() { assert(session_ == nullptr && waiting_.empty()); }

void MasterFinder::Start() { Begin(); }

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
  if (!is_busy_) Begin();
}

void MasterFinder::Begin() {
  if (closed_) return;
  if (is_busy_) {
    ask_again_ = true;
    return;
  }
  is_busy_ = true;
  problems_.clear();
  all_need_configuration_ = true;
  session_ != nullptr ? Ask() : Connect();
}

void MasterFinder::Connect() {
  RedisSession::Listener* const listener = this;
  session_ = std::make_unique<RedisSession>(loop_, listener);
  target_ = OptionsForSentinel(options_, sentinel());
  SetTimer(options_.connect_timeout_nanos / 2, &MasterFinder::OnSilence);
  if (absl::Status status = session_->Connect(target_); !status.ok()) {
    Fail(std::string(status.message()), absl::IsInvalidArgument(status));
  }
}

void MasterFinder::OnConnected() {
  handshake_ = std::make_unique<RedisHandshake>(
      target_, std::vector<std::string>(),
      [this](const RedisPipeline& pipeline) {
        for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kHandshakeId, pipeline.command(i));
      },
      RedisHandshake::Scope::kLogin);
  handshake_->Start();
}

void MasterFinder::Ask() {
  replies_.clear();
  RedisPipeline pipeline;
  pipeline.Add({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", options_.master_name});
  pipeline.Add({"SENTINEL", "CKQUORUM", options_.master_name});
  SetTimer(options_.connect_timeout_nanos / 2, &MasterFinder::OnSilence);
  for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kQuestionId, pipeline.command(i));
}

void MasterFinder::OnReply(uint64_t id, RedisReplyPtr reply) {
  if (id == kQuestionId) {
    replies_.push_back(std::move(reply));
    if (replies_.size() == kRepliesPerQuestion) Judge();
    return;
  }
  if (handshake_ == nullptr) return;
  handshake_->OnReply(std::move(reply));
  if (!handshake_->status().ok()) {
    return Fail(std::string(handshake_->status().message()), handshake_->needs_configuration());
  }
  if (!handshake_->done()) return;
  handshake_.reset();
  Ask();
}

void MasterFinder::Judge() {
  const RedisReplyView reply(replies_[0]);
  if (reply.IsNull()) {
    return Fail(absl::StrCat("it knows no master named \"", options_.master_name, "\""), true);
  }
  if (reply.IsError()) {
    return Fail(std::string(StatusOfReply(reply).message()), IsConfigurationError(reply.ErrorCode()));
  }
  const std::optional<RedisEndpoint> found = ParseMaster(reply);
  if (!found.has_value()) return Fail("it does not say where the master is", false);
  NoteDoubt(RedisReplyView(replies_[1]));
  answered_ = sentinel();
  switches_.Follow();
  End(*found);
}

// A master that is lost would then not be replaced.
void MasterFinder::NoteDoubt(RedisReplyView quorum) {
  std::string doubt;
  if (quorum.ErrorCode() == "NOQUORUM") {
    doubt = absl::StrCat("Sentinel at ", EndpointText(sentinel()),
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

void MasterFinder::Fail(const std::string& why, bool needs_configuration) {
  DropSession();
  // What is said of Redis holds for sentinels too.
  constexpr std::string_view kSubject = "Redis ";
  const bool is_of_it = why.starts_with(kSubject);
  problems_.push_back(absl::StrCat("Sentinel at ", EndpointText(sentinel()), is_of_it ? " " : ": ",
                                   is_of_it ? why.substr(kSubject.size()) : why));
  all_need_configuration_ = all_need_configuration_ && needs_configuration;
  at_ = (at_ + 1) % options_.sentinels.size();
  if (!is_busy_) return;
  if (problems_.size() < options_.sentinels.size()) return Connect();
  std::string text = absl::StrJoin(problems_, "; ");
  End(all_need_configuration_ ? absl::InvalidArgumentError(text) : absl::UnavailableError(text));
}

bool MasterFinder::Publish(const RedisEndpoint& master) {
  MutexLock lock(&mutex_);
  const bool is_another = master_.has_value() && *master_ != master;
  master_ = master;
  return is_another;
}

void MasterFinder::End(absl::StatusOr<RedisEndpoint> found) {
  is_busy_ = false;
  SetTimer(kBetweenQuestions, &MasterFinder::Begin);
  const bool is_another = found.ok() && Publish(*found);
  std::vector<Done> waiting;
  waiting.swap(waiting_);
  for (Done& done : waiting) std::move(done)(found);
  if (is_another && on_switch_) on_switch_();
  if (std::exchange(ask_again_, false) && !is_busy_) Begin();
}

void MasterFinder::OnClosed(const std::string& reason) {
  const bool needs_configuration = session_->needs_configuration();
  // One that was not being asked is asked, or passed over, the next time.
  is_busy_ ? Fail(reason, needs_configuration) : DropSession();
}

void MasterFinder::DropSession() {
  if (is_busy_) {
    loop_->CancelTimer(timer_);
    timer_ = {};
  }
  handshake_.reset();
  if (session_ == nullptr) return;
  session_->Close();
  loop_->DestroyLater(std::move(session_));
}

void MasterFinder::SetTimer(int64_t nanos, void (MasterFinder::*then)()) {
  loop_->CancelTimer(timer_);
  timer_ = loop_->AddTimer(clock_->NowNanos() + nanos, [this, then] {
    timer_ = {};
    (this->*then)();
  });
}

void MasterFinder::Close() {
  closed_ = true;
  switches_.Close();
  DropSession();
  loop_->CancelTimer(timer_);
  timer_ = {};
  std::vector<Done> waiting;
  waiting.swap(waiting_);
  for (Done& done : waiting) std::move(done)(absl::UnavailableError("the store is shut down"));
}

}  // namespace larder
