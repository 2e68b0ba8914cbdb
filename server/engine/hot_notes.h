// The hottest keys, remembered past the end of the process.
#ifndef LARDER_SERVER_ENGINE_HOT_NOTES_H_
#define LARDER_SERVER_ENGINE_HOT_NOTES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "core/clock.h"
#include "core/mutex.h"
#include "server/engine/hot_keys.h"
#include "server/store/store.h"

namespace larder {

// Keys and counts as a text of any bytes, and back; what is not of that form is left out.
std::string EncodeHotKeys(const std::vector<HotKey>& keys);
std::vector<HotKey> DecodeHotKeys(std::string_view text);

// Each key with the higher of its counts, the hottest first, at most `limit`. Those of `noted` count an eighth less, so
// that what nobody reads any more fades.
std::vector<HotKey> MergeHotKeys(const std::vector<HotKey>& own, const std::vector<HotKey>& noted, size_t limit);

// The notes about one namespace in the store. All replicas share them: who writes reads first and puts its own counts
// beside what the others noted. Of two who do so at the same time one may overwrite the other, who will be back a
// minute later. A note is cut into parts, so that none keeps the store's connection for long.
//
// Thread-safe; never blocks. Held by shared_ptr, which its calls under way share.
class HotNotes : public std::enable_shared_from_this<HotNotes> {
 public:
  using Loaded = absl::AnyInvocable<void(absl::StatusOr<std::vector<HotKey>>) &&>;
  using Saved = absl::AnyInvocable<void(absl::Status) &&>;

  // All must outlive the calls under way. `limit`: how many keys are remembered.
  HotNotes(std::string name_space, size_t limit, const HotKeys* keys, Store* store, const Clock* clock);

  // What was noted last, the hottest first; nothing where there is no note.
  void Load(Loaded done);

  // Notes what is hot now. Does nothing if nothing has been read.
  void Save(Saved done);

 private:
  struct Reading;
  struct Writing;

  void ReadPart(std::shared_ptr<Reading> reading);
  void WritePart(std::shared_ptr<Writing> writing);
  int64_t Deadline() const;

  const std::string name_space_;
  const size_t limit_;
  const HotKeys* const keys_;
  Store* const store_;
  const Clock* const clock_;
};

}  // namespace larder

#endif  // LARDER_SERVER_ENGINE_HOT_NOTES_H_
