// One cached value with what is known about it.
#ifndef LARDER_CORE_ENTRY_H_
#define LARDER_CORE_ENTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/packed_numbers.h"

namespace larder {

class EntryRef;

// The numbers of an entry. Times are on the Clock::NowNanos() scale of this process.
struct EntryMeta {
  uint64_t version = 0;                                       // unique per write, compared for equality only
  uint64_t generation = 0;                                    // the store's generation that it was written under
  uint64_t epoch = 0;                                         // the namespace's logical clock when it was written
  int64_t created_nanos = 0;                                  // when it was set
  int64_t expires_nanos = 0;                                  // from here on it is gone
  int64_t stale_nanos = std::numeric_limits<int64_t>::max();  // from here on it is stale, if it is not gone
  int64_t read_nanos = 0;     // when the store read or write that brought it here was sent
  int64_t leased_nanos = 0;   // until here somebody has the right to load it anew, by what the store said
  int64_t sliding_nanos = 0;  // what each read gives it to live until it is stale; 0: it is not sliding
  bool absent = false;        // it says that it is known that there is none
  bool unshared = false;      // the shared store never had it: it was set while that was away, and ends with that
};

// An entry's tags: each one byte of length and then its bytes.
class TagList {
 public:
  static constexpr size_t kMaxTagBytes = 255;

  class Iterator {
   public:
    explicit Iterator(const char* at) : at_(at) {}
    std::string_view operator*() const { return {at_ + 1, static_cast<unsigned char>(*at_)}; }
    Iterator& operator++() {
      at_ += 1 + static_cast<unsigned char>(*at_);
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const char* at_;
  };

  // The encoded form. Each tag is 1 to 255 bytes.
  static std::string Encode(const std::vector<std::string_view>& tags);
  // Whether the bytes are an encoded form.
  static bool IsWellFormed(std::string_view encoded);

  // `encoded` must be well formed, and outlive this.
  explicit TagList(std::string_view encoded) : encoded_(encoded) {}
  Iterator begin() const { return Iterator(encoded_.data()); }
  Iterator end() const { return Iterator(encoded_.data() + encoded_.size()); }
  bool empty() const { return encoded_.empty(); }
  std::string_view encoded() const { return encoded_; }

 private:
  std::string_view encoded_;
};

// Immutable once shared, but for `verdict`. One allocation holds the numbers, the key, the tags, the content type and
// the value; it is freed with the last EntryRef, on whichever thread that is. Thread-safe.
//
// Memory for entries is what a cache has least of, so numbers take as many bytes as they need: sizes and the epoch have
// no leading zeros, and times are told by how far they are from another, in milliseconds where nothing is lost by that.
// What is asked of nearly every entry at each hit is a load and a shift away all the same.
class Entry {
 public:
  // Copies `content_type` (at most 65,535 bytes), `value` and `key` (at most 4 GiB - 1 each) and `tags` (encoded, well
  // formed, at most 65,535 bytes) once. `key` is that under which a NearCache is to hold the entry, if that is known:
  // with it, the cache takes the entry in as it is.
  static EntryRef Create(const EntryMeta& meta, std::string_view content_type, std::string_view value,
                         std::string_view tags = {}, std::string_view key = {});

  // Allocates an entry whose value is still to be written, by the caller alone, to mutable_value().
  static EntryRef CreateUninitialized(const EntryMeta& meta, std::string_view content_type, size_t value_size,
                                      std::string_view tags = {}, std::string_view key = {});

  // A copy that has `key`, and the same verdict.
  EntryRef WithKey(std::string_view key) const;

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  // Put together anew each time. Inline, so that a caller pays for those numbers alone that it looks at.
  EntryMeta meta() const {
    return {.version = version_,
            .generation = generation_,
            .epoch = Number(kEpoch),
            .created_nanos = created_nanos(),
            .expires_nanos = expires_nanos(),
            .stale_nanos = stale_nanos(),
            .read_nanos = read_nanos_,
            .leased_nanos = shape_.flag(kHasRare) ? Load<int64_t>(rare()) : 0,
            .sliding_nanos = shape_.flag(kHasRare) ? Load<int64_t>(rare() + sizeof(int64_t)) : 0,
            .absent = shape_.flag(kAbsent),
            .unshared = shape_.flag(kUnshared)};
  }
  int64_t expires_nanos() const { return Sum(read_nanos_, Difference(kExpires, kExpiresInMillis)); }

  // Empty if it was created without one.
  std::string_view key() const { return {payload(), Number(kKeySize)}; }
  TagList tags() const { return TagList({payload() + Number(kKeySize), tags_size()}); }
  std::string_view content_type() const { return {payload() + Number(kKeySize) + tags_size(), content_type_size()}; }
  std::string_view value() const { return {payload() + value_offset(), Number(kValueSize)}; }

  // Before the entry is shared with another thread or a cache; not after.
  char* mutable_value() { return mutable_numbers() + numbers_size() + value_offset(); }

  // Likewise. An entry that was created without a generation has room for any epoch. One that has not room for this
  // one gets the generation 0, and so counts for no reader: that is safe.
  void Stamp(uint64_t generation, uint64_t epoch);

  // Bytes that the allocation takes, and what it would with another key.
  size_t footprint() const { return FootprintWithKey(Number(kKeySize)); }
  size_t FootprintWithKey(size_t key_size) const {
    return sizeof(Entry) + numbers_size() - shape_.width(kKeySize) + PackedWidth(key_size) + key_size + tags_size() +
           content_type_size() + Number(kValueSize);
  }

  // A number that the owner of invalidations keeps for each entry: what it last found of it. 0: nothing yet.
  uint64_t verdict() const { return verdict_.load(std::memory_order_relaxed); }
  void set_verdict(uint64_t verdict) const { verdict_.store(verdict, std::memory_order_relaxed); }

 private:
  friend class EntryRef;

  // Expiry is told by its distance from read_nanos_, creation by that of read_nanos_ from it, staleness by that of the
  // expiry from it. Distances wrap around, so that every number comes out as it went in.
  enum PackedNumber : size_t { kKeySize, kValueSize, kExpires, kCreated, kStale, kEpoch };
  // A staleness of no bytes that is not in milliseconds stands for never.
  enum PackedFlag : size_t {
    kExpiresInMillis,
    kCreatedInMillis,
    kStaleInMillis,
    kHasLabels,  // the sizes of tags and content type follow the numbers, two bytes each
    kHasRare,    // leased_nanos and sliding_nanos follow those, eight bytes each
    kAbsent,
    kUnshared,
  };
  static constexpr size_t kLabelsBytes = 2 * sizeof(uint16_t);
  static constexpr size_t kRareBytes = 2 * sizeof(int64_t);
  static constexpr uint64_t kMilli = 1'000'000;

  Entry(const EntryMeta& meta, PackedShape shape)
      : shape_(shape), version_(meta.version), generation_(meta.generation), read_nanos_(meta.read_nanos) {}
  ~Entry() = default;

  template <typename T>
  static T Load(const char* at) {
    T number;
    std::memcpy(&number, at, sizeof(number));
    return number;
  }
  static int64_t Sum(int64_t a, uint64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + b); }

  uint64_t Number(PackedNumber i) const { return LoadPacked(numbers() + shape_.EndOf(i), shape_.width(i)); }
  uint64_t Difference(PackedNumber i, PackedFlag in_millis) const {
    return shape_.flag(in_millis) ? Number(i) * kMilli : Number(i);
  }
  int64_t created_nanos() const { return Sum(read_nanos_, 0 - Difference(kCreated, kCreatedInMillis)); }
  int64_t stale_nanos() const {
    if (shape_.width(kStale) == 0 && !shape_.flag(kStaleInMillis)) return std::numeric_limits<int64_t>::max();
    return Sum(expires_nanos(), 0 - Difference(kStale, kStaleInMillis));
  }

  // How a difference is best told.
  struct Distance {
    Distance(int64_t from, int64_t to);
    uint64_t number;
    bool in_millis;
  };
  void PutNumber(PackedNumber i, uint64_t number);
  void PutTexts(const EntryMeta& meta, std::string_view key, std::string_view tags, std::string_view content_type);

  const char* numbers() const { return reinterpret_cast<const char*>(this + 1); }
  char* mutable_numbers() { return reinterpret_cast<char*>(this + 1); }
  const char* labels() const { return numbers() + shape_.size(); }
  const char* rare() const { return labels() + (shape_.flag(kHasLabels) ? kLabelsBytes : 0); }
  const char* payload() const { return numbers() + numbers_size(); }
  size_t numbers_size() const {
    return shape_.size() + (shape_.flag(kHasLabels) ? kLabelsBytes : 0) + (shape_.flag(kHasRare) ? kRareBytes : 0);
  }
  size_t tags_size() const { return shape_.flag(kHasLabels) ? Load<uint16_t>(labels()) : 0; }
  size_t content_type_size() const { return shape_.flag(kHasLabels) ? Load<uint16_t>(labels() + sizeof(uint16_t)) : 0; }
  size_t value_offset() const { return Number(kKeySize) + tags_size() + content_type_size(); }

  static void Destroy(const Entry* entry);

  mutable std::atomic<uint32_t> references_{1};
  const PackedShape shape_;
  mutable std::atomic<uint64_t> verdict_{0};
  const uint64_t version_;
  uint64_t generation_;
  const int64_t read_nanos_;
};
// A number is loaded with the eight bytes before its end, which must not be those that others write meanwhile.
static_assert(sizeof(Entry) == 40);

// A counted reference to an Entry, or null. Copying takes a reference; as thread-safe as a shared_ptr.
class EntryRef {
 public:
  EntryRef() = default;
  EntryRef(std::nullptr_t) {}  // NOLINT: null is a value
  EntryRef(const EntryRef& other) : entry_(other.entry_) { Acquire(); }
  EntryRef(EntryRef&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  EntryRef& operator=(EntryRef other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~EntryRef() { Release(); }

  Entry* get() const { return entry_; }
  Entry* operator->() const { return entry_; }
  Entry& operator*() const { return *entry_; }
  explicit operator bool() const { return entry_ != nullptr; }

  // Hands the reference out as a bare pointer, for C interfaces; Adopt takes it back.
  Entry* Leak() { return std::exchange(entry_, nullptr); }
  static EntryRef Adopt(Entry* entry) {
    EntryRef ref;
    ref.entry_ = entry;
    return ref;
  }

 private:
  void Acquire() {
    if (entry_ != nullptr) entry_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  void Release() {
    if (entry_ != nullptr && entry_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) Entry::Destroy(entry_);
  }

  Entry* entry_ = nullptr;
};

}  // namespace larder

#endif  // LARDER_CORE_ENTRY_H_
