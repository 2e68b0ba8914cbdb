// A hash index over objects that lie elsewhere.
#ifndef LARDER_CORE_POSITION_INDEX_H_
#define LARDER_CORE_POSITION_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace larder {

// Finds positions by the hashes of what lies there. Open addressing with linear probing; a removal moves later cells
// back (Knuth, "The Art of Computer Programming" 3, 6.4, algorithm R), so that nothing is left behind to probe past. A
// cell holds 32 bits of the hash besides the position: growth and removal never look at the objects, a search hardly
// ever at a wrong one. Not thread-safe. A cell takes 8 bytes; once there are some dozens, more than 7/10 and at most
// 4/5 of them are in use, unless many were removed. The cells are in the order of their hashes but for collisions, so
// that growth, by an eighth at a time, is a walk through memory.
//
// Ours rather than absl::flat_hash_set: that has another layout under the sanitizers than in the distribution's
// library.
class PositionIndex {
 public:
  // What a position takes at the most, where there are many and never were more.
  static constexpr size_t kMaxBytesPerPosition = 12;

  // The position under `hash` for which `matches` says yes, if there is one.
  template <typename Matches>
  std::optional<uint32_t> Find(uint64_t hash, const Matches& matches) const {
    if (cells_.empty()) return std::nullopt;
    const uint32_t tag = TagOf(hash);
    for (size_t i = HomeOf(tag); cells_[i].position != kFree; i = After(i)) {
      if (cells_[i].tag == tag && matches(cells_[i].position)) return cells_[i].position;
    }
    return std::nullopt;
  }

  // The position must not be there yet, and be below 2^32 - 1.
  void Insert(uint64_t hash, uint32_t position);

  // The position must be there, under the hash.
  void Erase(uint64_t hash, uint32_t position);

  // What lay at `from` lies at `to` now; `from` must be there, under the hash.
  void Move(uint64_t hash, uint32_t from, uint32_t to) { cells_[CellOf(hash, from)].position = to; }

  void Clear();

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  struct Cell {
    uint32_t position = kFree;
    uint32_t tag = 0;
  };

  static uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash); }
  size_t HomeOf(uint32_t tag) const { return tag * uint64_t{cells_.size()} >> 32; }
  size_t After(size_t i) const { return i + 1 == cells_.size() ? 0 : i + 1; }
  // How many cells further on `to` is.
  size_t Distance(size_t from, size_t to) const { return to >= from ? to - from : to + cells_.size() - from; }
  size_t CellOf(uint64_t hash, uint32_t position) const;
  void Place(Cell cell);
  void Grow();

  std::vector<Cell> cells_;  // at least one of them free, or none at all
  size_t used_ = 0;
};

}  // namespace larder

#endif  // LARDER_CORE_POSITION_INDEX_H_
