#include "server/engine/entry_warmer.h"

#include <utility>

namespace larder {
namespace {

// A command that owns what it names, for the time until the namespace's position is known.
struct OwnedEntry {
  explicit OwnedEntry(const SetCommand& command)
      : name_space(command.name_space),
        key(command.key),
        value(command.value),
        content_type(command.content_type),
        ttl(command.ttl),
        tags(command.tags.begin(), command.tags.end()),
        stale_for_ms(command.stale_for_ms),
        sliding(command.sliding),
        absent(command.absent) {}

  SetCommand View() const {
    return {.name_space = name_space,
            .key = key,
            .value = value,
            .content_type = content_type,
            .ttl = ttl,
            .condition = {},
            .fill = std::nullopt,
            .tags = {tags.begin(), tags.end()},
            .stale_for_ms = stale_for_ms,
            .sliding = sliding,
            .absent = absent};
  }

  std::string name_space, key, value, content_type;
  TtlChoice ttl;
  std::vector<std::string> tags;
  std::optional<int64_t> stale_for_ms;
  bool sliding;
  bool absent;
};

}  // namespace

EntryWarmer::EntryWarmer(CacheEngine* engine, const Clock* clock, std::function<void()> on_entry_done)
    : engine_(engine), clock_(clock), on_entry_done_(std::move(on_entry_done)), started_nanos_(clock->NowNanos()) {}

void EntryWarmer::Submit(const CallContext& call, const SetCommand& command) {
  int64_t index;
  std::optional<ClockPosition> as_of;
  {
    MutexLock lock(&mutex_);
    index = submitted_++;
    ++in_flight_;
    const auto known = positions_.find(command.name_space);
    if (known != positions_.end()) as_of = known->second;
  }
  if (as_of) return Write(call, command, index, *as_of);

  auto entry = std::make_shared<const OwnedEntry>(command);
  engine_->Position(call, command.name_space,
                    [self = shared_from_this(), call, entry, index](absl::StatusOr<ClockPosition> position) {
                      if (!position.ok()) return self->End(index, entry->key, 0, position.status());
                      ClockPosition as_of_first;
                      {
                        MutexLock lock(&self->mutex_);
                        as_of_first = self->positions_.emplace(entry->name_space, *position).first->second;
                      }
                      self->Write(call, entry->View(), index, as_of_first);
                    });
}

void EntryWarmer::Write(const CallContext& call, const SetCommand& command, int64_t index, ClockPosition as_of) {
  const auto bytes = static_cast<int64_t>(command.key.size() + command.value.size());
  engine_->SetIfUntouchedSince(call, command, as_of,
                               [self = shared_from_this(), key = std::string(command.key), bytes,
                                index](absl::StatusOr<SetAnswer> answer) { self->End(index, key, bytes, answer); });
}

void EntryWarmer::Refuse(std::string_view key, const absl::Status& status) {
  int64_t index;
  {
    MutexLock lock(&mutex_);
    index = submitted_++;
    ++in_flight_;
  }
  End(index, key, 0, status);
}

void EntryWarmer::End(int64_t index, std::string_view key, int64_t bytes, const absl::StatusOr<SetAnswer>& answer) {
  {
    MutexLock lock(&mutex_);
    --in_flight_;
    if (!answer.ok()) {
      ++progress_.failed;
      progress_.failures.push_back({index, std::string(key.substr(0, kMaxKeyBytes)), answer.status()});
    } else if (answer->applied) {
      ++progress_.written;
      progress_.written_bytes += bytes;
    } else {
      ++progress_.skipped;
    }
  }
  on_entry_done_();
}

bool EntryWarmer::HasRoom() const {
  MutexLock lock(&mutex_);
  return in_flight_ < kMaxInFlight && in_flight_ + static_cast<int64_t>(progress_.failures.size()) < kMaxUnreported;
}

bool EntryWarmer::Idle() const {
  MutexLock lock(&mutex_);
  return in_flight_ == 0;
}

bool EntryWarmer::ReportIsDue() const {
  MutexLock lock(&mutex_);
  return static_cast<int64_t>(progress_.failures.size()) >= kMaxUnreported / 2;
}

EntryWarmProgress EntryWarmer::TakeProgress() {
  MutexLock lock(&mutex_);
  progress_.elapsed_nanos = clock_->NowNanos() - started_nanos_;
  EntryWarmProgress taken = progress_;
  progress_.failures.clear();
  return taken;
}

}  // namespace larder
