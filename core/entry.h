// One cached value with what is known about it.
#ifndef LARDER_CORE_ENTRY_H_
#define LARDER_CORE_ENTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// Immutable once shared, but for `verdict`. One allocation holds the numbers, the tags, the content type and the value;
// it is freed with the last EntryRef, on whichever thread that is. Thread-safe.
class Entry {
 public:
  // Copies `content_type` (at most 65,535 bytes), `value` (at most 4 GiB - 1) and `tags` (encoded, well formed, at most
  // 65,535 bytes) once.
  static EntryRef Create(const EntryMeta& meta, std::string_view content_type, std::string_view value,
                         std::string_view tags = {});

  // Allocates an entry whose value is still to be written, by the caller alone, to mutable_value().
  static EntryRef CreateUninitialized(const EntryMeta& meta, std::string_view content_type, size_t value_size,
                                      std::string_view tags = {});

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  const EntryMeta& meta() const { return meta_; }
  TagList tags() const { return TagList({payload(), tags_size_}); }
  std::string_view content_type() const { return {payload() + tags_size_, content_type_size_}; }
  std::string_view value() const { return {payload() + tags_size_ + content_type_size_, value_size_}; }

  // Before the entry is shared with another thread or a cache; not after.
  char* mutable_value() { return payload() + tags_size_ + content_type_size_; }
  void Stamp(uint64_t generation, uint64_t epoch) {
    meta_.generation = generation;
    meta_.epoch = epoch;
  }

  // Bytes that the allocation takes.
  size_t footprint() const { return sizeof(Entry) + tags_size_ + content_type_size_ + value_size_; }

  // A number that the owner of invalidations keeps for each entry: what it last found of it. 0: nothing yet.
  uint64_t verdict() const { return verdict_.load(std::memory_order_relaxed); }
  void set_verdict(uint64_t verdict) const { verdict_.store(verdict, std::memory_order_relaxed); }

 private:
  friend class EntryRef;

  Entry(const EntryMeta& meta, uint16_t tags_size, uint16_t content_type_size, uint32_t value_size)
      : value_size_(value_size), tags_size_(tags_size), content_type_size_(content_type_size), meta_(meta) {}
  ~Entry() = default;

  char* payload() { return reinterpret_cast<char*>(this + 1); }
  const char* payload() const { return reinterpret_cast<const char*>(this + 1); }
  static void Destroy(const Entry* entry);

  mutable std::atomic<uint32_t> references_{1};
  const uint32_t value_size_;
  const uint16_t tags_size_;
  const uint16_t content_type_size_;
  EntryMeta meta_;
  mutable std::atomic<uint64_t> verdict_{0};
};

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
