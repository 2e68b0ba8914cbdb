#include "server/origin/key_enumerator.h"

#include <system_error>
#include <utility>

#include "server/origin/key_stream.h"

namespace larder {

KeyEnumerator::~KeyEnumerator() { Shutdown(); }

void KeyEnumerator::Start(std::shared_ptr<const OriginRoute> route, std::string prefix, int64_t limit, Take take,
                          Done done) {
  auto stream = std::make_shared<KeyStream>(std::move(route), std::move(prefix), limit, scheduler_, clock_);
  auto shared_done = std::make_shared<Done>(std::move(done));
  std::list<Running> ended;
  absl::Status refusal;
  {
    MutexLock lock(&mutex_);
    for (auto next = running_.begin(); next != running_.end();) {
      const auto one = next++;
      if (one->stream->ended()) ended.splice(ended.end(), running_, one);
    }
    if (stopped_) {
      refusal = KeyStream::ShutDown();
    } else {
      try {
        std::thread thread([stream, shared_done, take = std::move(take)]() mutable {
          std::move (*shared_done)(stream->Run(take));
          stream->set_ended();
        });
        running_.push_back({stream, std::move(thread)});
      } catch (const std::system_error&) {
        refusal = absl::ResourceExhaustedError("no thread to enumerate the origin's keys on");
      }
    }
  }
  for (Running& one : ended) one.thread.join();
  if (!refusal.ok()) std::move (*shared_done)(std::move(refusal));
}

void KeyEnumerator::Shutdown() {
  std::list<Running> rest;
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    for (const Running& one : running_) one.stream->Cancel();
    rest.swap(running_);
  }
  for (Running& one : rest) one.thread.join();
}

}  // namespace larder
