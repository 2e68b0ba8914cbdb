// NearTracker: replicas tell each other of what they change, where Redis does not (COHERENCE N6).
//
// The scripts that change what a reader would find under a key publish the key on the namespace's channel, in the same
// step, if the control record bears a mark that says that somebody listens. Why a renewal (NearTracker::Renew) then
// proves what it does on one connection where Redis itself tells (N1, N2):
//  * A renewal is sent on the one connection: it registers, asks in each control record for the mark, or makes one, and
//    publishes a word of its own that only this process hears. All that was published before the word is in front of it
//    in the stream of the other connection, which is subscribed: Redis puts what is published into that stream while
//    the script runs that publishes it, and hands it out in order. Both connections are to the same process, which was
//    looked at before either was used, so that nothing is between them that may keep something back.
//  * The mark is random, and is made anew wherever it is missing. So the same mark as at the last renewal says that it
//    was there all the time between, and that no change in that time went unpublished. Another mark, as the first one
//    of a session, says that changes may have gone unpublished until it was made: everything is forgotten, what is
//    being read included, before anything counts. The generation would not do in its place: what is read under a new
//    one, before anybody has made its mark again, is changed unheard too.
//  * So once the answers are here, the word has been heard, and all that came in front of it has been taken in, it is
//    known here what was changed before the renewal was sent. The lease counts from then, and the stamps of groups are
//    in the answers themselves. Nothing of the answers counts before the word: they come by another connection.
//  * A change that was published after the word may be heard before the answers are taken in, which does no harm.
//  * Whoever may not publish what it changes takes the mark away, which the next renewal finds. Whoever has changed
//    something after another has taken the mark away has published nothing: the same.
//  * STRONG (S1, S2) rests on the same: who acknowledges has heard a word of its own that it said after the write's
//    reply.
//  * Losing either connection ends the session (N2).
// Not heard are those who do not run our scripts, and what Redis evicts: a near entry then lives to its end.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/planted.h"
#include "server/redis/near_tracker.h"

namespace larder {

ChangeListener::Events NearTracker::ListenerEvents() {
  return {
      .on_ready = [this] { Begin(); },
      .on_message = [this](std::string_view channel, std::string_view message) { OnPublished(channel, message); },
      .on_error = [this](RedisReplyView error) { GiveUp(error); },
      // What may not be subscribed to ends the connection.
      .on_lost = [this](const std::string& reason) { reason.starts_with("NOPERM") ? Refuse(reason) : Lose(reason); }};
}

void NearTracker::Listen(const std::string& why) {
  by_channel_.store(true);
  looked_nanos_ = clock_->NowNanos();
  const std::string what =
      why.empty() ? "" : absl::StrCat("Redis does not tell of changed keys (", why, "), so replicas tell each other");
  SetRefusal(what);
  std::vector<std::string> channels = {membership_.names.own_channel};
  for (const auto& [name, keys] : namespaces_) channels.push_back(keys.changed_channel);
  listener_.Open(target_, identity_, std::move(channels));
}

void NearTracker::OnPublished(std::string_view channel, std::string_view message) {
  if (channel != membership_.names.own_channel) return OnKeyChanged(message);
  if (!renewing_ || message != absl::StrCat(registered_as_)) return;
  heard_own_word_ = true;
  EndListened();
}

void NearTracker::OnListened(const std::string& name_space, ClockPosition known, RedisReplyView reply) {
  absl::StatusOr<std::optional<ListenAnswer>> answer = ParseListen(reply);
  if (!answer.ok() && reply.IsError()) return GiveUp(reply);
  if (!answer.ok()) return Refuse(std::string(answer.status().message()));
  if (answer->has_value()) new_marks_[name_space] = (*answer)->mark;
  // As in OnControlRecord.
  if (!answer->has_value() || (*answer)->range.generation != known.generation) {
    is_whole_ = false;
    return on_unknown_(name_space);
  }
  if (registered_) listened_.emplace_back(name_space, UpdateOf(std::move((*answer)->range), known, /*sequence=*/0));
}

// How many have heard it: this process, if its other connection still stands.
void NearTracker::OnOwnWord(RedisReplyView reply) {
  if (reply.IsError()) return GiveUp(reply);
  if (reply.Integer().value_or(0) == 0) return Lose("nobody hears what is published");
  expected_ = Answer::kNone;
  EndListened();
}

void NearTracker::EndListened() {
  if (!renewing_ || expected_ != Answer::kNone || !heard_own_word_) return;
  TakeListened();
  EndRenewal();
}

void NearTracker::TakeListened() {
  bool may_have_missed = false;
  for (const auto& [name_space, mark] : new_marks_) {
    may_have_missed = std::exchange(marks_[name_space], mark) != mark || may_have_missed;
  }
  if (may_have_missed && !Planted(Bug::kNoFlush)) holder_->OnChanged("", "");
  for (const auto& [name_space, update] : listened_) {
    if (!holder_->OnCurrent(name_space, update, sent_nanos_)) is_whole_ = false;
  }
}

}  // namespace larder
