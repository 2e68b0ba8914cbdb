#include "server/engine/hot_notes.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

// A note of Larder's own; part N of it is under `hot-keys/N`. The first begins with the number of parts.
constexpr char kName[] = "hot-keys/";
constexpr size_t kPartBytes = size_t{128} << 10;
// As many parts as a hundred thousand of the longest keys may take.
constexpr size_t kMaxParts = 512;
constexpr int64_t kNoteLifeNanos = 30 * 24 * 3600 * kNanosPerSecond;
constexpr int64_t kPatienceNanos = kNanosPerSecond;

// Takes a number and the character after it off the front.
std::optional<uint64_t> TakeNumber(std::string_view& text, char end) {
  uint64_t number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || at == text.data() + text.size() || *at != end) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(at - text.data()) + 1);
  return number;
}

std::vector<HotKey> Hottest(const absl::flat_hash_map<std::string, uint64_t>& reads, size_t limit) {
  std::vector<HotKey> keys;
  keys.reserve(reads.size());
  for (const auto& [key, count] : reads) keys.push_back({key, count});
  std::sort(keys.begin(), keys.end(),
            [](const HotKey& a, const HotKey& b) { return a.reads != b.reads ? a.reads > b.reads : a.key < b.key; });
  if (keys.size() > limit) keys.resize(limit);
  return keys;
}

// The keys in parts of about kPartBytes, without the number of them.
std::vector<std::string> Parts(const std::vector<HotKey>& keys) {
  std::vector<std::string> parts(1);
  for (const HotKey& key : keys) {
    if (parts.back().size() >= kPartBytes && parts.size() < kMaxParts) parts.emplace_back();
    parts.back() += EncodeHotKeys({key});
  }
  return parts;
}

}  // namespace

std::string EncodeHotKeys(const std::vector<HotKey>& keys) {
  std::string text;
  for (const HotKey& key : keys) absl::StrAppend(&text, key.reads, " ", key.key.size(), ":", key.key, "\n");
  return text;
}

std::vector<HotKey> DecodeHotKeys(std::string_view text) {
  std::vector<HotKey> keys;
  while (!text.empty()) {
    const std::optional<uint64_t> reads = TakeNumber(text, ' ');
    if (!reads.has_value()) break;
    const std::optional<uint64_t> size = TakeNumber(text, ':');
    if (!size.has_value() || *size >= text.size() || text[*size] != '\n') break;
    keys.push_back({std::string(text.substr(0, *size)), *reads});
    text.remove_prefix(*size + 1);
  }
  return keys;
}

std::vector<HotKey> MergeHotKeys(const std::vector<HotKey>& own, const std::vector<HotKey>& noted, size_t limit) {
  absl::flat_hash_map<std::string, uint64_t> reads;
  for (const HotKey& key : noted) {
    // So low a count fades away, which seven eighths of a whole number would not.
    if (const uint64_t faded = key.reads - (key.reads + 7) / 8; faded > 0) reads.emplace(key.key, faded);
  }
  for (const HotKey& key : own) {
    uint64_t& count = reads[key.key];
    count = std::max(count, key.reads);
  }
  return Hottest(reads, limit);
}

// A note being read, part by part.
struct HotNotes::Reading {
  size_t part = 0;
  size_t parts = 1;
  absl::flat_hash_map<std::string, uint64_t> reads;
  Loaded done;
};

// A note being written, part by part, the first last: it tells how many there are.
struct HotNotes::Writing {
  std::vector<std::string> parts;
  Saved done;
};

HotNotes::HotNotes(std::string name_space, size_t limit, const HotKeys* keys, Store* store, const Clock* clock)
    : name_space_(std::move(name_space)), limit_(limit), keys_(keys), store_(store), clock_(clock) {}

int64_t HotNotes::Deadline() const { return clock_->NowNanos() + kPatienceNanos; }

void HotNotes::Load(Loaded done) {
  auto reading = std::make_shared<Reading>();
  reading->done = std::move(done);
  ReadPart(std::move(reading));
}

void HotNotes::ReadPart(std::shared_ptr<Reading> reading) {
  std::string name = absl::StrCat(kName, reading->part);
  store_->GetNote(name_space_, std::move(name), Deadline(),
                  [self = shared_from_this(), reading](absl::StatusOr<std::optional<std::string>> text) {
                    if (!text.ok()) return std::move(reading->done)(text.status());
                    std::string_view rest = text->has_value() ? std::string_view(**text) : std::string_view();
                    if (reading->part == 0) {
                      const std::optional<uint64_t> parts = TakeNumber(rest, '\n');
                      reading->parts = std::clamp<size_t>(parts.value_or(1), 1, kMaxParts);
                    }
                    // Where two wrote at once a key may be in parts of both.
                    for (HotKey& key : DecodeHotKeys(rest)) {
                      uint64_t& count = reading->reads[std::move(key.key)];
                      count = std::max(count, key.reads);
                    }
                    if (++reading->part < reading->parts) return self->ReadPart(reading);
                    std::move(reading->done)(Hottest(reading->reads, self->limit_));
                  });
}

void HotNotes::Save(Saved done) {
  std::vector<HotKey> own = keys_->Top(limit_);
  // Who has nothing to say must not make what the others said fade.
  if (own.empty()) return std::move(done)(absl::OkStatus());
  Load([self = shared_from_this(), own = std::move(own),
        done = std::move(done)](absl::StatusOr<std::vector<HotKey>> noted) mutable {
    if (!noted.ok()) return std::move(done)(noted.status());
    auto writing = std::make_shared<Writing>();
    writing->parts = Parts(MergeHotKeys(own, *noted, self->limit_));
    writing->parts.front().insert(0, absl::StrCat(writing->parts.size(), "\n"));
    writing->done = std::move(done);
    self->WritePart(std::move(writing));
  });
}

void HotNotes::WritePart(std::shared_ptr<Writing> writing) {
  std::string text = std::move(writing->parts.back());
  writing->parts.pop_back();
  std::string name = absl::StrCat(kName, writing->parts.size());
  store_->PutNote(name_space_, std::move(name), std::move(text), kNoteLifeNanos, Deadline(),
                  [self = shared_from_this(), writing](const absl::StatusOr<bool>& put) {
                    if (!put.ok()) return std::move(writing->done)(put.status());
                    if (writing->parts.empty()) return std::move(writing->done)(absl::OkStatus());
                    self->WritePart(writing);
                  });
}

}  // namespace larder
