#include "server/redis/inquirer.h"

#include <algorithm>
#include <cassert>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace larder {
namespace {

constexpr uint64_t kHandshakeId = 0;
constexpr uint64_t kQuestionId = 1;

}  // namespace

Inquirer::Inquirer(RedisLoop* loop, const Clock* clock, Parts parts)
    : loop_(loop), clock_(clock), parts_(std::move(parts)) {}

Inquirer::~Inquirer() { assert(session_ == nullptr); }

void Inquirer::Ask() {
  if (closed_) return;
  if (is_asking_) {
    ask_again_ = true;
    return;
  }
  is_asking_ = true;
  problems_.clear();
  all_need_configuration_ = true;
  round_ = parts_.whom();
  at_ = 0;
  if (first_.has_value()) {
    const auto first = std::find(round_.begin(), round_.end(), *first_);
    if (first != round_.end()) std::rotate(round_.begin(), first, round_.end());
  }
  if (session_ != nullptr && round_[0] == RedisEndpoint{target_.host, target_.port}) return Send();
  DropSession();
  Connect();
}

void Inquirer::Connect() {
  RedisSession::Listener* const listener = this;
  session_ = std::make_unique<RedisSession>(loop_, listener);
  target_ = parts_.options_for(round_[at_]);
  SetTimer(parts_.patience_nanos, &Inquirer::OnSilence);
  if (absl::Status status = session_->Connect(target_); !status.ok()) {
    Fail({std::string(status.message()), absl::IsInvalidArgument(status)});
  }
}

void Inquirer::OnConnected() {
  handshake_ = std::make_unique<RedisHandshake>(
      target_, std::vector<std::string>(),
      [this](const RedisPipeline& pipeline) {
        for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kHandshakeId, pipeline.command(i));
      },
      RedisHandshake::Scope::kLogin);
  handshake_->Start();
}

void Inquirer::Send() {
  replies_.clear();
  SetTimer(parts_.patience_nanos, &Inquirer::OnSilence);
  for (size_t i = 0; i < parts_.question.size(); ++i) session_->Send(kQuestionId, parts_.question.command(i));
}

void Inquirer::OnReply(uint64_t id, RedisReplyPtr reply) {
  if (id == kQuestionId) {
    replies_.push_back(std::move(reply));
    if (replies_.size() != parts_.question.size()) return;
    if (std::optional<Refusal> refusal = parts_.judge(round_[at_], replies_)) return Fail(*refusal);
    answered_ = first_ = round_[at_];
    return End(absl::OkStatus());
  }
  if (handshake_ == nullptr) return;
  handshake_->OnReply(std::move(reply));
  if (!handshake_->status().ok()) {
    return Fail({std::string(handshake_->status().message()), handshake_->needs_configuration()});
  }
  if (!handshake_->done()) return;
  handshake_.reset();
  Send();
}

void Inquirer::Fail(const Refusal& refusal) {
  DropSession();
  // What is said of Redis holds for these servers too.
  constexpr std::string_view kSubject = "Redis ";
  const bool is_of_it = refusal.why.starts_with(kSubject);
  problems_.push_back(absl::StrCat(parts_.role, " at ", EndpointText(round_[at_]), is_of_it ? " " : ": ",
                                   is_of_it ? refusal.why.substr(kSubject.size()) : refusal.why));
  all_need_configuration_ = all_need_configuration_ && refusal.needs_configuration;
  if (!is_asking_) return;
  if (++at_ < round_.size()) return Connect();
  // The next round begins with another.
  if (round_.size() > 1) first_ = round_[1];
  std::string text = absl::StrJoin(problems_, "; ");
  End(all_need_configuration_ ? absl::InvalidArgumentError(text) : absl::UnavailableError(text));
}

void Inquirer::End(const absl::Status& status) {
  is_asking_ = false;
  parts_.on_end(status);
  if (closed_) return;
  if (!is_asking_) SetTimer(parts_.pause_nanos(), &Inquirer::Ask);
  if (std::exchange(ask_again_, false) && !is_asking_) Ask();
}

void Inquirer::OnClosed(const std::string& reason) {
  const bool needs_configuration = session_->needs_configuration();
  // One that was not being asked is asked, or passed over, the next time.
  is_asking_ ? Fail({reason, needs_configuration}) : DropSession();
}

void Inquirer::DropSession() {
  if (is_asking_) {
    loop_->CancelTimer(timer_);
    timer_ = {};
  }
  handshake_.reset();
  if (session_ == nullptr) return;
  session_->Close();
  loop_->DestroyLater(std::move(session_));
}

void Inquirer::SetTimer(int64_t nanos, void (Inquirer::*then)()) {
  loop_->CancelTimer(timer_);
  timer_ = loop_->AddTimer(clock_->NowNanos() + nanos, [this, then] {
    timer_ = {};
    (this->*then)();
  });
}

void Inquirer::Close() {
  closed_ = true;
  DropSession();
  loop_->CancelTimer(timer_);
  timer_ = {};
}

}  // namespace larder
