// One cached value with what is known about it.
#ifndef LARDER_CORE_ENTRY_H_
#define LARDER_CORE_ENTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace larder {

class EntryRef;

// The numbers of an entry. Times are on the Clock::NowNanos() scale of this process.
struct EntryMeta {
  uint64_t version = 0;       // unique per write, compared for equality only
  uint64_t generation = 0;    // the store's generation that it was written under
  uint64_t epoch = 0;         // the namespace's logical clock when it was written
  int64_t created_nanos = 0;  // when it was set
  int64_t expires_nanos = 0;  // from here on it is gone
  int64_t read_nanos = 0;     // when the store read or write that brought it here was sent
};

// Immutable once shared, but for `validated_at`. One allocation holds the numbers, the content type and the value;
// it is freed with the last EntryRef, on whichever thread that is. Thread-safe.
class Entry {
 public:
  // Copies `content_type` (at most 65,535 bytes) and `value` (at most 4 GiB - 1) once.
  static EntryRef Create(const EntryMeta& meta, std::string_view content_type, std::string_view value);

  // Allocates an entry whose value is still to be written, by the caller alone, to mutable_value().
  static EntryRef CreateUninitialized(const EntryMeta& meta, std::string_view content_type, size_t value_size);

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  const EntryMeta& meta() const { return meta_; }
  std::string_view content_type() const { return {payload(), content_type_size_}; }
  std::string_view value() const { return {payload() + content_type_size_, value_size_}; }

  // Before the entry is shared with another thread or a cache; not after.
  char* mutable_value() { return payload() + content_type_size_; }
  void Stamp(uint64_t generation, uint64_t epoch) {
    meta_.generation = generation;
    meta_.epoch = epoch;
  }

  // Bytes that the allocation takes.
  size_t footprint() const { return sizeof(Entry) + content_type_size_ + value_size_; }

  // A number that the owner of invalidations keeps for each entry: the state at which it last found the entry valid.
  uint64_t validated_at() const { return validated_at_.load(std::memory_order_relaxed); }
  void set_validated_at(uint64_t change) const { validated_at_.store(change, std::memory_order_relaxed); }

 private:
  friend class EntryRef;

  Entry(const EntryMeta& meta, uint16_t content_type_size, uint32_t value_size)
      : content_type_size_(content_type_size), value_size_(value_size), meta_(meta) {}
  ~Entry() = default;

  char* payload() { return reinterpret_cast<char*>(this + 1); }
  const char* payload() const { return reinterpret_cast<const char*>(this + 1); }
  static void Destroy(const Entry* entry);

  mutable std::atomic<uint32_t> references_{1};
  const uint16_t content_type_size_;
  const uint32_t value_size_;
  EntryMeta meta_;
  mutable std::atomic<uint64_t> validated_at_{0};
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
