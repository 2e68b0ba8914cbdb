// A holder of near entries that remembers what it is told.
#ifndef LARDER_TESTS_UNIT_REDIS_TOLD_HOLDER_H_
#define LARDER_TESTS_UNIT_REDIS_TOLD_HOLDER_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/mutex.h"
#include "server/store/store.h"

namespace larder {

// Knows what it is told, as an engine does.
class ToldHolder final : public NearHolder {
 public:
  ClockPosition Known(std::string_view name_space) const override {
    MutexLock lock(&mutex_);
    const auto found = known_.find(name_space);
    return found == known_.end() ? ClockPosition{} : found->second;
  }
  void OnChanged(std::string_view name_space, std::string_view key) override {
    MutexLock lock(&mutex_);
    ++changed_[std::string(name_space) + "/" + std::string(key)];
  }
  void OnBegin() override {
    MutexLock lock(&mutex_);
    ++begun_;
  }
  bool OnCurrent(std::string_view name_space, const ControlUpdate& update, int64_t sent_nanos) override {
    MutexLock lock(&mutex_);
    EXPECT_EQ(update.generation, known_.find(name_space)->second.generation);
    known_.find(name_space)->second.epoch = update.epoch;
    ++renewals_;
    sent_nanos_ = sent_nanos;
    return true;
  }
  void OnControl(std::string_view name_space, const ControlUpdate& update) override {
    MutexLock lock(&mutex_);
    known_[std::string(name_space)] = {update.generation, update.epoch};
  }
  void OnLost() override {
    MutexLock lock(&mutex_);
    ++lost_;
  }

  int Changed(const std::string& what) const {
    MutexLock lock(&mutex_);
    const auto found = changed_.find(what);
    return found == changed_.end() ? 0 : found->second;
  }
  int begun() const {
    MutexLock lock(&mutex_);
    return begun_;
  }
  int lost() const {
    MutexLock lock(&mutex_);
    return lost_;
  }
  int renewals() const {
    MutexLock lock(&mutex_);
    return renewals_;
  }
  int64_t sent_nanos() const {
    MutexLock lock(&mutex_);
    return sent_nanos_;
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, ClockPosition, std::less<>> known_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> changed_ ABSL_GUARDED_BY(mutex_);
  int begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int lost_ ABSL_GUARDED_BY(mutex_) = 0;
  int renewals_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t sent_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_REDIS_TOLD_HOLDER_H_
